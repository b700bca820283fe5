"""A desktop app around `rim_runtime.Engine`: PySide6, no torch, nothing that goes to a network.

application.py     what runs: arguments, one window, the order in which all of it ends
self_check.py      --ask and --screenshot: the window asked by a program
window.py          the window: what can be done when, menus, dropped bundles
menus.py           its commands and their keys
notice.py          an error or a note that must be seen
question_form.py   the question and its options
answer_view.py     an answer: headline, bars, text, trace, what is known of it
bars.py            the offered letters as a list of bars
trace_view.py      the answer behind every memory block, drawn
words.py           an answer in words and numbers
session.py         the window's end of the work: start a job, cancel it, end the thread
worker.py          the other end, in a thread of its own: the engine
recent.py          bundles that were opened before
"""
