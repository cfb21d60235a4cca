#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# `make check` writes below out/ and $TMPDIR and nowhere else, and talks to
# nobody but this machine: all its Perl tests pass where every other folder
# is read-only, with no network but loopback and no HOME, as root and as an
# ordinary user whose PATH has no sbin.
use strict;
use warnings;
use FCNG::Util qw(top out find_tool tmpdir);
use Test::More;

plan skip_all => 'root missing' if $> != 0;
for my $tool (qw(unshare setpriv ip mount)) {
    plan skip_all => "$tool missing" if !find_tool($tool);
}
plan skip_all => 'namespaces missing'
    if system('unshare -m -n true 2>/dev/null') != 0;

my $tmp = tmpdir();
my $script = <<'END';
set -e
ip link set lo up
for dir in "$FCNG_TOP/out" "$TMPDIR"; do mount --bind "$dir" "$dir"; done
mount -t tmpfs none /dev/shm
while read -r what where type rest; do
    case $where in
        "$FCNG_TOP/out"|"$TMPDIR"|/proc|/proc/*|/sys|/sys/*|/dev|/dev/pts)
            continue ;;
    esac
    mount -o remount,ro,bind "$where"
done < /proc/self/mounts
if touch "$FCNG_TOP/x" /tmp/x /dev/shm/x 2>/dev/null; then exit 9; fi
exec "$@"
END

delete @ENV{qw(HOME XDG_CACHE_HOME XDG_CONFIG_HOME)};
my @tests = grep !m{^t/build\.t$}, glob 't/*.t';
for my $user ('root', 'nobody') {
    my ($uid, $gid) = (getpwnam $user)[2, 3];
    local $ENV{TMPDIR} = "$tmp/$user";
    mkdir $ENV{TMPDIR};
    chmod 0755, $ENV{TMPDIR};
    chown $uid, $gid, $ENV{TMPDIR};
    local $ENV{PATH} = $user eq 'root' ? $ENV{PATH}
        : '/usr/local/bin:/usr/bin:/bin';
    my @as = $user eq 'root' ? ()
        : ('setpriv', "--reuid=$uid", "--regid=$gid", '--clear-groups');
    my $said = '';
    open my $run, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh',
        find_tool('unshare'), '-m', '-n', '--propagation', 'private',
        'sh', '-c', $script, 'sh', @as, 'build/run-tests', '-j', 2, @tests
        or die "unshare: $!\n";
    while (my $line = <$run>) { $said .= $line; note $line }
    close $run;
    is($?, 0, "$user: all tests pass") or diag($said);
    is_deeply([glob "$ENV{TMPDIR}/* $ENV{TMPDIR}/.[a-z]*"], [],
        "$user: nothing stays in TMPDIR");
}

done_testing();
