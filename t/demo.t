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
plan skip_all => 'libcmark missing' if !-x "$ENV{FCNG_APPS}/markdown";
plan skip_all => 'php-fpm missing'
    if !grep -x, map { glob "$_/php-fpm*" } qw(/usr/sbin /usr/bin);

my $tmp = tempdir('fcng-demo-t-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $tmp;
$ENV{TMPDIR} = $tmp;

$SIG{PIPE} = 'IGNORE';
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
    my ($once, %env) = @_;
    unlink "$tmp/said";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        setsid();
        @ENV{'ONCE', keys %env} = ($once, values %env);
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

# A proxy for the outer world has no part in it.
my %proxy = map { $_ => 'http://127.0.0.1:9' } qw(http_proxy all_proxy);
delete local $ENV{no_proxy};
is(ends(start(1, %proxy), 60), 0, 'ONCE=1: all answers are right')
    or diag(said());
my @answers = said() =~ /^\s+200 Hello from/mg;
is(scalar @answers, 8, 'ONCE=1: eight answers');
my @rows = said() =~ /^\s+\w+\.sock: \d+ connections, \d+ idle, \d+ opened, ([23]) requests, \g1 complete$/mg;
is("@rows", '2 2 3 2 2 3', 'ONCE=1: both status pages have counted them');
my @denied = said() =~ m{^\s+403 <p>No key: you may not see /members/}mg;
is(scalar @denied, 2, 'ONCE=1: the page of a denial, twice');
my @granted = said() =~ /^\s+200 Hello ann, says PHP/mg;
is(scalar @granted, 2, 'ONCE=1: a grant with its variable, twice');
my @pages = said() =~ m{^\s+200 <h1>fastcgi-ng</h1>$}mg;
is(scalar @pages, 2, 'ONCE=1: README.md as a page by both servers');
nothing_stays('ONCE=1');

# An application that answers wrongly, and one that dies.
open my $in, '<:raw', "$ENV{FCNG_APPS}/hello" or die "hello: $!\n";
(my $wrong = do { local $/; <$in> }) =~ s/Hello from C/Hullo from C/;
my %broken = (wrong => $wrong, dead => "#!/bin/sh\nexit 1\n");
for my $how (sort keys %broken) {
    mkdir "$tmp/$how";
    open my $out, '>:raw', "$tmp/$how/hello" or die "$tmp/$how: $!\n";
    print $out $broken{$how};
    close $out;
    chmod 0755, "$tmp/$how/hello";
    is(ends(start(1, FCNG_APPS => "$tmp/$how"), 90), 1 << 8,
        "$how application: exit code 1");
    # Nor does the status page show what was expected of one that is dead.
    my $wrong = $how eq 'dead' ? 6 : 4;
    like(said(), qr/^$wrong of 10 answers wrong$/m, "$how application: it is told");
    nothing_stays("$how application");
}

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

# ---- below make, on a terminal --------------------------------------------

open my $make, '>', "$tmp/demo.mk" or die "$tmp/demo.mk: $!\n";
print $make "demo:\n\t\@\$(MAKE) -f $tmp/demo.mk demo-run\n",
    "demo-run:\n\t\@$^X build/demo\n";
close $make;

# Processes that have this folder in their environment or command line: on the
# terminal they are no longer of one session.
sub ours {
    my @found;
    for my $proc (glob '/proc/[0-9]*') {
        next if $proc eq "/proc/$$";
        my $text = '';
        for my $file ("$proc/cmdline", "$proc/environ") {
            open my $in, '<', $file or next;
            local $/;
            $text .= <$in> // '';
        }
        push @found, substr $proc, 6 if $text =~ m{\Q$tmp\E\b};
    }
    return @found;
}

sub wait_gone {
    my $until = time + 15;
    sleep 0.1 while ours() && time < $until;
    return map { open(my $in, '<', "/proc/$_/cmdline") ? <$in> : () } ours();
}

SKIP: {
    skip 'script missing', 12
        if !grep -x "$_/script", split /:/, $ENV{PATH};
    for my $how ('^C', 'TERM to make', 'a closed terminal') {
        unlink "$tmp/said";
        pipe my $read, my $keys or die "pipe: $!\n";
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            setsid();
            close $keys;
            $ENV{ONCE} = 0;
            open STDIN, '<&', $read;
            open STDOUT, '>', '/dev/null';
            exec 'script', '-q', '-f', '-c', "make -f $tmp/demo.mk demo",
                "$tmp/said";
        }
        close $read;
        my $until = time + 60;
        sleep 0.05 while said() !~ /\^C stops it/ && time < $until;
        like(said(), qr/\^C stops it/, "$how: it runs");
        cmp_ok(scalar ours(), '>', 6, "$how: servers run");
        if ($how eq '^C') {
            syswrite $keys, "\x03";
        }
        elsif ($how =~ /^TERM/) {
            my ($make) = grep { open my $in, '<', "/proc/$_/comm";
                ($in && <$in> || '') eq "make\n" } sort { $a <=> $b } ours();
            kill TERM => $make;
        }
        else {
            kill KILL => $pid;
        }
        is_deeply([wait_gone()], [], "$how: no process stays");
        is_deeply([glob "$tmp/fcng-demo-*"], [], "$how: no folder stays");
        kill KILL => $pid, ours();
        waitpid $pid, 0;
    }
}

done_testing();
