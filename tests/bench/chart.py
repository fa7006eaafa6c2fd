"""Draws the figures as a small SVG: CPU seconds on a logarithmic scale."""

import math

COLOURS = {"stratum": "#0b7285", "tofu": "#e8a33d", "terraform": "#8d7bc4"}
NAMES = {"plan": "first plan", "apply": "plan and apply", "noop": "nothing changed",
         "one": "one changed"}
LEFT, WIDTH, BAR, GAP = 150, 430, 15, 16
LEAST, MOST = 0.001, 2000.0


def place(value):
    share = math.log10(max(value, LEAST) / LEAST) / math.log10(MOST / LEAST)
    return LEFT + share * WIDTH


def draw(results):
    """The largest N that every tool was measured with; longer bars cost more."""
    tools = [tool for tool in COLOURS if tool in results]
    sizes = [size for size in ("5000", "1000", "100") if size in results["stratum"]]
    size = sizes[0]
    parts, top = [], 58
    for step, name in NAMES.items():
        parts.append(f'<text x="{LEFT - 10}" y="{top + 12}" text-anchor="end">{name}</text>')
        for tool in tools:
            got = results[tool].get(size, {}).get(step)
            if got is None:
                continue
            end = place(got["cpu"])
            parts.append(f'<rect x="{LEFT}" y="{top}" width="{end - LEFT:.1f}" height="{BAR}" '
                         f'rx="2" fill="{COLOURS[tool]}"/>')
            parts.append(f'<text x="{end + 6:.1f}" y="{top + 12}">{tool} '
                         f'{got["cpu"]:.3g} s</text>')
            top += BAR + 3
        top += GAP
    body = "\n".join(parts)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {top}" width="720" \
height="{top}" font-family="system-ui, sans-serif" font-size="12" fill="#333">
<rect width="720" height="{top}" fill="#fff"/>
<text x="20" y="24" font-size="15" font-weight="600">{int(size):,} resources: CPU seconds, \
logarithmic scale</text>
<text x="20" y="42" fill="#666">the same graph, the same machine, one after the other; \
measured by `make bench`</text>
{body}
</svg>
"""
