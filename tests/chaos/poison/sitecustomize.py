"""On PYTHONPATH of a site under test: its solver processes misbehave on the portfolios that POISON names.

POISON is a JSON object: portfolio id -> "crash" (the solver), "hang" (the solver), "kill" (the worker that waits for
it), "babble" (past Python, on the solver's standard output, as a native library may), "raise" (in CVXPY, as a
defect would). POISON_PAUSE makes every programme take so many seconds longer, so that a run lasts long
enough to be disturbed.
"""

import json
import os
import signal
import sys
import time
from types import SimpleNamespace

if sys.orig_argv[1:4] == ["-m", "ordergen.ops.cli", "solve"] and "POISON" in os.environ:
    poison = json.loads(os.environ["POISON"])

    def a_defect(*_, **__):
        raise ValueError("a defect, and no bad problem")

    def poisoned(lines):
        for line in lines:
            effect = poison.get(json.loads(line)["problem"]["portfolio_id"])
            if effect == "crash":
                os._exit(134)
            if effect == "hang":
                time.sleep(600)
            if effect == "kill":
                os.kill(os.getppid(), signal.SIGKILL)
            if effect == "babble":
                os.write(1, line)
            if effect == "raise":
                sys.modules["cvxpy"].Problem.solve = a_defect
            time.sleep(float(os.environ.get("POISON_PAUSE", "0")))
            yield line

    sys.stdin = SimpleNamespace(buffer=poisoned(sys.stdin.buffer))
