"""A bar chart as SVG, readable on a light and on a dark page, with nothing but Python's standard library."""

import math
from xml.sax.saxutils import escape

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2937 }
  .title { font-weight: 600; font-size: 15px }
  .value { font-size: 12px }
  .s0 { fill: #93b4d8 } .s1 { fill: #1f5f9f } .s2 { fill: #6b7280 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb }
    .s0 { fill: #4b6b8f } .s1 { fill: #8fc1f5 } .s2 { fill: #9ca3af }
  }
"""
LABELS, BARS, VALUES, BAR, GAP = 190, 380, 90, 14, 14


def scale(values, logarithmic):
    """What makes a length of a value; a logarithmic one begins at the power of ten below the least value."""
    longest = max(values)
    if not logarithmic:
        return lambda value: max(1, BARS * value / longest)
    least = math.ceil(math.log10(min(values))) - 1
    return lambda value: BARS * (math.log10(value) - least) / (math.log10(longest) - least)


def bars(title, unit, names, rows, logarithmic=False):
    """Draws a group of bars for each row `(label, [value for each of the names])`, all to one scale."""
    length_of = scale([value for _, values in rows for value in values], logarithmic)
    group = BAR * len(names) + GAP
    height, width = 70 + group * len(rows), LABELS + BARS + VALUES
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
             f"<title>{escape(title)}</title><style>{STYLE}</style>",
             f'<text class="title" x="8" y="22">{escape(title)}</text>']
    for index, name in enumerate(names):
        x = LABELS + index * 170
        parts.append(f'<rect class="s{index}" x="{x}" y="36" width="12" height="12" rx="2"/>'
                     f'<text class="value" x="{x + 18}" y="46">{escape(name)}</text>')
    for row, (label, values) in enumerate(rows):
        top = 62 + row * group
        middle = top + BAR * len(names) / 2 + 4
        parts.append(f'<text x="{LABELS - 10}" y="{middle}" text-anchor="end">{escape(label)}</text>')
        for index, value in enumerate(values):
            y, length = top + index * BAR, length_of(value)
            parts.append(f'<rect class="s{index}" x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR - 2}" rx="2"/>'
                         f'<text class="value" x="{LABELS + length + 6:.1f}" y="{y + 10}">{value:.2f} {unit}</text>')
    return "\n".join([*parts, "</svg>", ""])


def write(path, *chart):
    with open(path, "w", encoding="utf-8") as file:
        file.write(bars(*chart))
