"""All modules of the runtime, for engines are imported when they are chosen; and TensorRT, by its name."""  # noqa: N999

from importlib.util import find_spec
from pkgutil import walk_packages

import rim_runtime
from rim_runtime.libraries.tensorrt import MODULES

_found = (module.name for module in walk_packages(rim_runtime.__path__, "rim_runtime."))
hiddenimports = [name for name in _found if not name.startswith("rim_runtime._pyinstaller")]
hiddenimports += [name for name in MODULES.values() if find_spec(name)]
