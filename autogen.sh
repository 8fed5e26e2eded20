#!/bin/sh
# Makes ./configure from a checkout. Needs autoconf, automake, pkg-config.
set -e
cd "$(dirname "$0")"
exec autoreconf --install --force --warnings=all
