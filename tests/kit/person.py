#!/usr/bin/env python3
"""Runs a command on a pseudo-terminal as a person would.

usage: person.py OUT [-c COLUMNS] [-2] [-s SCRIPT] COMMAND...
OUT gets every byte that the command sent to the terminal, OUT.screen the lines as a person sees
them at the end. -2: stdout goes to OUT.stdout instead. SCRIPT: JSON, [[wait for, send], ...].
The exit code is the command's, 128 + N for a signal N, 124 after two minutes.
"""
import fcntl
import getopt
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time


def screen(text, columns):
    """Lines after carriage returns, erasures, moves and wraps."""
    lines, row, col = [[]], 0, 0
    pattern = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\x1b[=>()]\w?|.", re.S)
    for token in pattern.finditer(text):
        all_, number, kind = token.group(0), token.group(1), token.group(2)
        amount = int(number) if number and number.isdigit() else 1
        if kind == "A":
            row = max(0, row - amount)
        elif kind == "C":
            col += amount
        elif kind == "D":
            col = max(0, col - amount)
        elif kind == "K":
            del lines[row][col:]
        elif kind == "P":
            del lines[row][col:col + amount]
        elif all_ == "\r":
            col = 0
        elif all_ == "\n":
            row += 1
        elif all_ == "\b":
            col = max(0, col - 1)
        elif all_[0] != "\x1b" and all_ >= " ":
            if col == columns:
                row, col = row + 1, 0
            while row >= len(lines):
                lines.append([])
            line = lines[row]
            line.extend(" " * (col + 1 - len(line)))
            line[col] = all_
            col += 1
        while row >= len(lines):
            lines.append([])
    return "".join("".join(line).rstrip() + "\n" for line in lines)


def main():
    options, words = getopt.getopt(sys.argv[2:], "c:2s:")
    options = dict(options)
    columns = int(options.get("-c", 100))
    script = json.load(open(options["-s"])) if "-s" in options else []
    out = sys.argv[1]
    child, terminal = pty.fork()
    if child == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        if "-2" in options:
            os.dup2(os.open(out + ".stdout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
        os.execvp(words[0], words)
    seen, at, end, code = b"", 0, time.time() + 120, None
    while time.time() < end:
        ready = select.select([terminal], [], [], 0.2)[0]
        if ready:
            try:
                more = os.read(terminal, 65536)
            except OSError:  # the other side was closed
                more = b""
            if not more:
                break
            seen += more
        if script:
            place = seen.find(script[0][0].encode(), at)
            if place >= 0:
                at = place + len(script[0][0].encode())
                data = script.pop(0)[1].encode("utf-8", "surrogateescape")
                while data:
                    data = data[os.write(terminal, data[:256]):]
                    time.sleep(0.02)
    else:
        os.kill(child, 9)
        code = 124
    status = os.waitpid(child, 0)[1]
    if code is None:
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
    open(out, "wb").write(seen)
    open(out + ".screen", "w").write(screen(seen.decode("utf-8", "replace"), columns))
    if script:
        print(f"never seen: {script[0][0]!r}", file=sys.stderr)
        code = code or 125
    sys.exit(code)


main()
