#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Lines to sort: numbers that look random, the same each time."""

import random

random.seed(1)
for number in range(150000):
    print(f"{random.getrandbits(64):x} {number}")
