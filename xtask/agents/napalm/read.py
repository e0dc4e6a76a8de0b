"""Asks an AMT everything that the napalm-amt driver can ask, switches the machine off and on, and prints all answers
as one JSON object.

usage: python read.py HOST PORT USER   (the password comes from AMT_PASSWORD)

Each call stands under its name with what it gave, or with the exception it raised.
"""

import json
import os
import sys

from napalm_amt import AmtDriver

GETTERS = [
    "is_alive",
    "get_facts",
    "get_interfaces",
    "get_interfaces_ip",
    "get_environment",
    "get_power_state",
    "get_hardware_inventory",
    "get_event_log",
    "get_firmware_inventory",
    "get_management_protocols",
]


def main() -> int:
    host, port, user = sys.argv[1:4]
    driver = AmtDriver(
        host, user, os.environ["AMT_PASSWORD"], timeout=20, optional_args={"port": int(port), "verify_ssl": False}
    )
    answers = {}
    try:
        driver.open()
        answers["open"] = {"value": True}
    except Exception as error:  # whatever it is, it is what the row is about
        print(json.dumps({"open": {"error": f"{type(error).__name__}: {error}"}}))
        return 0
    for name in GETTERS:
        try:
            answers[name] = {"value": getattr(driver, name)()}
        except Exception as error:
            answers[name] = {"error": f"{type(error).__name__}: {error}"}
    for action in ("ForceOff", "On"):
        try:
            driver.set_power_state(action)
            answers[action] = {"value": driver.get_power_state()["state"]}
        except Exception as error:
            answers[action] = {"error": f"{type(error).__name__}: {error}"}
    driver.close()
    print(json.dumps(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
