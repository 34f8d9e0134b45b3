#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Write a file as a C array: embed.py INPUT OUTPUT NAME gives NAME_text[], ended by a zero byte, and NAME_len."""
import sys

source, target, name = sys.argv[1:]
data = open(source, "rb").read()
with open(target, "w", encoding="ascii") as out:
    out.write("#include <stddef.h>\n\n")
    out.write(f"extern const char {name}_text[];\nextern const size_t {name}_len;\n\n")
    out.write(f"const char {name}_text[] = {{\n")
    for i in range(0, len(data), 16):
        out.write("\t" + " ".join(f"{byte}," if byte < 128 else f"(char){byte}," for byte in data[i : i + 16]) + "\n")
    out.write(f"\t0,\n}};\nconst size_t {name}_len = {len(data)};\n")
