#!/usr/bin/env bash
# Makes NotoSansSC-{Regular,Medium}.ttf of the whole fonts: GB 2312's first level (3755 characters, those in daily
# use), its punctuation and full-width letters, and whatever the Chinese messages use beyond them.
# Needs npm, python3 and fonttools (pip install fonttools==4.68.0). Run it again when a test says that a letter of
# assets/messages/zh-Hans.ftl is missing.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent @expo-google-fonts/noto-sans-sc@0.4.3 >/dev/null
tar xzf expo-google-fonts-noto-sans-sc-0.4.3.tgz
python3 - "$here/../messages/zh-Hans.ftl" >letters.txt <<'PY'
import sys

letters = {c for c in open(sys.argv[1], encoding="utf-8").read() if c > "\u2e80"}
for row in [0xA1, 0xA3, *range(0xB0, 0xD8)]:
    for cell in range(0xA1, 0xFF):
        try:
            letters.add(bytes([row, cell]).decode("gb2312"))
        except UnicodeDecodeError:
            pass
print("".join(sorted(c for c in letters if c > "\u2e80")), end="")
PY
for weight in 400Regular 500Medium; do
  pyftsubset "package/$weight/NotoSansSC_$weight.ttf" --text-file=letters.txt --no-hinting --layout-features= \
    --notdef-outline --name-IDs='*' --output-file="$here/NotoSansSC-${weight:3}.ttf"
done
cp package/LICENSE_FONT "$here/LICENSE-NotoSansSC.txt"
