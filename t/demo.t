#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# `make demo` shows right answers, and however it is ended nothing stays: no
# process, no folder.
use strict;
use warnings;
use File::Temp 'tempdir';
use POSIX qw(setsid WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

for (['FCNG_NGINX', 'nginx'], ['FCNG_NGINX_MODULE', 'nginx-dev'],
    ['FCNG_APACHE', 'apache2'], ['FCNG_APACHE_MODULE', 'apxs']) {
    my ($variable, $what) = @$_;
    plan skip_all => "$what missing" if !$ENV{$variable};
}
plan skip_all => 'libfcgi missing' if !-x "$ENV{FCNG_APPS}/hello";
plan skip_all => 'php-fpm missing'
    if !grep -x, map { glob "$_/php-fpm*" } qw(/usr/sbin /usr/bin);

my $tmp = tempdir('fcng-demo-t-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $tmp;
$ENV{TMPDIR} = $tmp;

my $session;

# Processes of the demo's session, whatever titles they gave themselves.
sub survivors {
    my @found;
    for my $file (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $file or next;
        my $line = <$in> // '';
        my ($name, $state, $of) = $line
            =~ /^\d+ \((.*)\) (\S) \d+ \d+ (\d+) / or next;
        push @found, $name if $of == $session && $state ne 'Z';
    }
    return @found;
}

sub nothing_stays {
    my ($how) = @_;
    is_deeply([survivors()], [], "$how: no process stays");
    is_deeply([glob "$tmp/fcng-demo-*"], [], "$how: no folder stays");
}

sub start {
    my ($once) = @_;
    unlink "$tmp/said";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setsid();
        $ENV{ONCE} = $once;
        open STDOUT, '>', "$tmp/said" or die;
        open STDERR, '>&', \*STDOUT;
        exec $^X, 'build/demo';
    }
    return $session = $pid;
}

sub said { open my $in, '<', "$tmp/said" or return ''; local $/; <$in> }

# The exit code, or undef after some time.
sub ends {
    my ($pid, $seconds) = @_;
    my $until = time + $seconds;
    while (time < $until) {
        return $? if waitpid($pid, WNOHANG) == $pid;
        sleep 0.05;
    }
    kill KILL => $pid;
    waitpid $pid, 0;
    return;
}

is(ends(start(1), 60), 0, 'ONCE=1: all answers are right') or diag(said());
my @answers = said() =~ /^\s+200 Hello from/mg;
is(scalar @answers, 8, 'ONCE=1: eight answers');
nothing_stays('ONCE=1');

for my $signal (qw(INT TERM HUP)) {
    my $pid = start(0);
    my $until = time + 60;
    sleep 0.05 while said() !~ /\^C stops it/ && time < $until;
    like(said(), qr/\^C stops it/, "$signal: it runs");
    cmp_ok(scalar(my @servers = survivors()), '>', 6, "$signal: servers run");
    kill $signal => $pid;
    is(ends($pid, 15), 0, "$signal: it ends");
    nothing_stays($signal);
}

done_testing();
