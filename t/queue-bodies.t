# SPDX-License-Identifier: BSD-2-Clause
#
# Requests with and without a body that wait for a connection: whenever they
# get it, all of them goes to the application, and each has its own answer.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use Test::More;

my %size = (0 => 0, 1 => 5, 2 => 40_000, 3 => 300_000);

FCNG::Hosts->each(threads => 32, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, workers => 4, request => sub {
        my ($r) = @_;
        my $body = $r->body;
        select undef, undef, undef, 0.002;
        $r->text($r->action . ' ' . length($body) . ' ' . substr $body, 0, 4);
    });
    $host->location('/app/', app => $app, pool => { max_connections => 4 });
    $host->start;
    my $port = $host->port;
    my $load = FCNG::Load->start(12, sub {
        my ($n, $count) = @_;
        my $size = $size{$n % 4};
        my $sign = sprintf '%02d%02d', $n, $count % 100;
        my $r = FCNG::HTTP::request($port, $size ? 'POST' : 'GET',
            "/app/$n.$count", $size ? (body => $sign x ($size / 4)) : (),
            seconds => 8);
        my $want = $size ? "$n.$count " . 4 * int($size / 4) . " $sign"
            : "$n.$count 0 ";
        return $r->{status} == 200 && $r->{body} eq $want ? ''
            : "$n.$count: $r->{status} $r->{body} " . ($r->{error} // '');
    });
    ok($load->more(800, 30), 'twelve clients, four connections');
    my ($count, @faults) = $load->stop;
    is(join("\n", @faults), '', "$count requests, each answered");
});
