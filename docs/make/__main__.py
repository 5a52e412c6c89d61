"""Renew what is made from the code in README and `docs/`: `python -m docs.make`."""

from docs.make.pages import ROOT, pages, renewed

for page in pages():
    before = page.read_text(encoding="utf-8")
    after = renewed(before)
    if after != before:
        page.write_text(after, encoding="utf-8")
        print(f"renewed {page.relative_to(ROOT)}")
