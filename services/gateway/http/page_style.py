"""The style of the pages that are made here, and the policy that allows this style and nothing else."""

import base64
import hashlib

# Named colours, the light ones first: tests/unit/test_docs_page.py computes their contrast.
STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1d2733; --link: #0b57a4; --visited: #6b3fa0;
  --code: #eef2f7; --line: #dde4ec; }
@media (prefers-color-scheme: dark) {
  :root { --page: #11161c; --text: #d7dee6; --link: #7ab8ff; --visited: #c9a7f5; --code: #1d2631; --line: #2c3846; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: var(--text);
  background: var(--page); }
a { color: var(--link); }
a:visited { color: var(--visited); }
code { background: var(--code); padding: .1em .4em; border-radius: .3em; }
table { display: block; overflow-x: auto; border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line); }
pre { background: var(--code); padding: .75rem; overflow-x: auto; }
/* Five columns do not fit a phone: there each event is a block, with its meaning below its other fields. */
@media (max-width: 40rem) {
  .events tr:first-child { position: absolute; clip-path: inset(50%); }
  .events tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .events td { display: inline-block; border-bottom: 0; }
  .events td:last-child { display: block; }
  .events td:nth-child(2)::before { content: "from "; }
  .events td:nth-child(3)::before { content: "over "; }
}
"""
# The pages need no script, and no style but this one.
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
