"""From a folder to an engine that was tested: which to try, the fallback order, golden questions."""
