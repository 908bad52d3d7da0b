#!/usr/bin/env python3
"""Draws lines, or bars, as an SVG, with nothing but the standard library.

    plot.py [--title T] [--x LABEL] [--y LABEL] [--log-x] [--log-y] [--mark SERIES:X]... OUT.svg <FILE
    plot.py --bars [--title T] [--x LABEL] [--y LABEL] [--log-y] OUT.svg <FILE

The input has lines "SERIES X Y"; a point of a series given several times stands at its median. A mark is a ring around a point.
For bars X is any word: for each, in the order of the input, there is a group of bars, one of each series.
"""
import argparse
import math
import statistics
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 72, 120, 40, 52
COLOURS = ["#1f4e9c", "#c23b22", "#2e8b57", "#8a5fb0", "#c98b12", "#3f3f3f", "#1296a8", "#b0447f"]


def read_points(lines, bars):
    """{series: [(x, y), ...]} in the order of the input, points by x; of bars x is a word, and its order that of the input."""
    series = {}
    for line in lines:
        words = line.split()
        if len(words) == 3 and not line.startswith("#"):
            x = words[1] if bars else float(words[1])
            series.setdefault(words[0], {}).setdefault(x, []).append(float(words[2]))
    medians = {name: [(x, statistics.median(ys)) for x, ys in points.items()] for name, points in series.items()}
    return medians if bars else {name: sorted(points) for name, points in medians.items()}


class Axis:
    """Maps values to pixels, by logarithm or straight, with round ticks."""

    def __init__(self, values, log, start, end):
        values = [v for v in values if v > 0] if log else list(values)
        self.log, self.start, self.end = log, start, end
        if log:
            self.low, self.high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
            self.high = max(self.high, self.low + 1)
            self.ticks = [10.0**e for e in range(self.low, self.high + 1)]
        else:
            step = 10 ** math.floor(math.log10(max(max(values), 1e-9)))
            step = next(s for s in (step / 5, step / 2, step, 2 * step) if max(values) / s <= 8)
            self.low, self.high = 0, math.ceil(max(values) / step) * step
            self.ticks = [step * i for i in range(round(self.high / step) + 1)]

    def at(self, value):
        if self.log:
            value = math.log10(max(value, 10.0**self.low))  # what is not above zero stands on the axis
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def number(value):
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{suffix}"
    return f"{value:.3g}"


def text(x, y, content, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(content)}</text>'


def draw_grid(x_axis, y_axis):
    for tick in x_axis.ticks if x_axis else []:
        x = x_axis.at(tick)
        yield f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}" stroke="#ddd"/>'
        yield text(x, HEIGHT - BOTTOM + 18, number(tick))
    for tick in y_axis.ticks:
        y = y_axis.at(tick)
        yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>'
        yield text(LEFT - 8, y + 4, number(tick), "end")


def place_labels(series, y_axis):
    """Names stand beside the ends of their lines, moved apart where they would meet."""
    below, places = -1e9, {}
    for name, points in sorted(series.items(), key=lambda s: y_axis.at(s[1][-1][1])):
        below = max(y_axis.at(points[-1][1]), below + 15)
        places[name] = below
    return places


def draw_series(series, x_axis, y_axis, marks):
    places = place_labels(series, y_axis)
    for (name, points), colour in zip(series.items(), COLOURS * len(series)):
        pixels = [(x_axis.at(x), y_axis.at(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        for (value, _), (x, y) in zip(points, pixels):
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
            if (name, value) in marks:
                yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        yield text(WIDTH - RIGHT + 10, places[name] + 4, name, "start", f'fill="{colour}"')


def draw_bars(series, y_axis):
    groups = list(dict.fromkeys(x for points in series.values() for x, _ in points))
    group_width = (WIDTH - RIGHT - LEFT) / len(groups)
    width = group_width * 0.8 / len(series)
    for i, group in enumerate(groups):
        yield text(LEFT + (i + 0.5) * group_width, HEIGHT - BOTTOM + 18, group)
    for k, (name, points) in enumerate(series.items()):
        colour = COLOURS[k % len(COLOURS)]
        for x, y in points:
            left, top = LEFT + groups.index(x) * group_width + group_width * 0.1 + k * width, y_axis.at(y)
            height = HEIGHT - BOTTOM - top
            yield f'<rect x="{left:.1f}" y="{top:.1f}" width="{width - 2:.1f}" height="{height:.1f}" fill="{colour}"/>'
            yield text(left + width / 2 - 1, top - 5, number(y))
        yield text(WIDTH - RIGHT + 10, TOP + 16 + 16 * k, name, "start", f'fill="{colour}"')


def draw(series, options):
    marks = {(name, float(x)) for name, x in (mark.rsplit(":", 1) for mark in options.mark)}
    points = [p for s in series.values() for p in s]
    x_axis = None if options.bars else Axis([x for x, _ in points], options.log_x, LEFT, WIDTH - RIGHT)
    y_axis = Axis([y for _, y in points], options.log_y, HEIGHT - BOTTOM, TOP)
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">'
    yield f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    yield from draw_grid(x_axis, y_axis)
    yield from draw_bars(series, y_axis) if options.bars else draw_series(series, x_axis, y_axis, marks)
    yield text((LEFT + WIDTH - RIGHT) / 2, 22, options.title, extra='font-size="15"')
    yield text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, options.x)
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield text(18, middle, options.y, extra=f'transform="rotate(-90 18 {middle})"')
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bars", action="store_true")
    parser.add_argument("--title", default="")
    parser.add_argument("--x", default="")
    parser.add_argument("--y", default="")
    parser.add_argument("--log-x", action="store_true")
    parser.add_argument("--log-y", action="store_true")
    parser.add_argument("--mark", action="append", default=[], metavar="SERIES:X")
    parser.add_argument("out")
    options = parser.parse_args()
    series = read_points(sys.stdin, options.bars)
    if not series:
        sys.exit("plot.py: no points")
    with open(options.out, "w", encoding="utf-8") as f:
        f.write("\n".join(draw(series, options)) + "\n")


if __name__ == "__main__":
    main()
