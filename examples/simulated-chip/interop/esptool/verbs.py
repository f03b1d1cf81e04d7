"""Runs esptool's commands one after the other in this process.

The standard input has one JSON array of arguments a line. The output has a line
"exit N" after what each command prints.
"""

import json
import sys

import esptool

for line in sys.stdin:
    status = 0
    try:
        esptool.main(json.loads(line))
    except SystemExit as e:
        status = e.code or 0
    except Exception as e:  # esptool's command line turns these into an exit status
        print(e)
        status = 2
    print(f"exit {status}", flush=True)
