# SPDX-License-Identifier: BSD-2-Clause
#
# What an application writes to STDERR is in the log line by line, at the
# level the operator chose, with nothing in it that forges a line.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;

FCNG::Hosts->each(log_level => 'info', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->action;
        if ($do eq 'lines') {
            $r->err('one li');
            $r->err("ne\ntwo lines\nthe re");
            $r->err("st");
        }
        elsif ($do eq 'forge') {
            $r->err("a\rb\e[31mc\0d \x{07}e\n");
        }
        elsif ($do eq 'long') {
            $r->err('L' x 200_000 . "\nafter\n");
        }
        elsif ($do eq 'many') {
            $r->err("line $_\n") for 1 .. 1000;
        }
        $r->text('ok');
    });
    $host->location('/app/', app => $app);
    $host->location('/notice/', app => $app,
        options => { stderr => 'notice' });
    $host->location('/all/', app => $app,
        options => { stderr => 'error rate=0r/s' });
    $host->location('/off/', app => $app, options => { stderr => 'off' });
    $host->start;

    my $lines = sub {
        my ($path) = @_;
        $host->mark_log;
        is($host->get($path)->{body}, 'ok', "$path is answered");
        return grep { /FCNG011/ } split /\n/, $host->new_log;
    };
    my @lines = $lines->('/app/lines');
    is(scalar @lines, 3, 'three lines');
    like($lines[0], qr/STDERR: one line\b/, 'P16: put together from records');
    like($lines[1], qr/STDERR: two lines\b/, 'the second');
    like($lines[2], qr/STDERR: the rest\b/, 'one without an end');
    like($lines[0], qr/\berror\]/, 'as errors');

    @lines = $lines->('/notice/lines');
    is(scalar @lines, 3, 'three lines');
    like($lines[0], qr/\bnotice\]/, 'P16: as the operator wants');
    is(scalar $lines->('/off/lines'), 0, 'or not at all');

    @lines = $lines->('/app/forge');
    is(scalar @lines, 2, 'a CR ends a line, and the next has its own tag');
    unlike("@lines", qr/[\0-\x08\x0a-\x1f]/, 'without control bytes');

    @lines = $lines->('/app/long');
    cmp_ok(length $_, '<', 10_000, 'a line is bounded') for $lines[0];
    like($lines[-1], qr/STDERR: after\b/, 'the next one is whole');

    @lines = $lines->('/app/many');
    cmp_ok(scalar @lines, '<', 1000, 'many lines are held back');
    cmp_ok(scalar @lines, '>', 10, 'but not all');
    is(scalar $lines->('/all/many'), 1000, 'unless the operator wants all');
});
