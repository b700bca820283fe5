"""The demo's bundle goes with a program that imports rim_edge."""  # noqa: N999

from rim_runtime.bundle.names import demo_folder

_demo = demo_folder()
datas = [] if _demo is None else [(str(_demo), "rim_edge/demo/bundle")]
