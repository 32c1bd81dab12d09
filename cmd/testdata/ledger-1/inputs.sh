# shellcheck shell=sh
# What --hash-file conf depends on.
mkdir -p conf/sub
printf 'a=1\n' >conf/a
printf 'b=2\n' >conf/sub/b
ln -sf a conf/link
