# SPDX-License-Identifier: BSD-2-Clause
#
# 256 clients for a minute, each sending 1 MiB while the same comes back, with
# Content-Length and chunked by turns, to an application with a thread for
# each of 24 connections and to one that serves any number: each SHA-256 is
# right, each client is served, nothing is left behind.  SECONDS says how long.
use strict;
use warnings;
use Digest::SHA ();
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Util qw(random_bytes spew wait_until);
use Test::More;
use Time::HiRes qw(sleep);

use constant { CLIENTS => 256, SIZE => 1 << 20, PIECE => 65_536 };
my $seconds = $ENV{SECONDS} || 60;
my $body = random_bytes(SIZE);

# A body that is like no other one, and its SHA-256 so far.
sub source {
    my ($n, $count, $sha) = @_;
    my $at = 0;
    return sub {
        return if $at >= SIZE;
        my $piece = substr $body, $at, PIECE;
        substr $piece, 0, 24, sprintf '%07d %07d %07d ', $n, $count, $at;
        $at += PIECE;
        $sha->add($piece);
        return $piece;
    };
}

FCNG::Hosts->each(workers => 2, threads => 160, backlog => 1024,
    keepalive => 60, sub {
    my ($host) = @_;
    my @app;
    for my $name (qw(libfcgi go)) {
        my $missing = FCNG::Programs->missing($name);
        if ($missing) {
            SKIP: { skip $missing, 1 }
            next;
        }
        push @app, FCNG::Programs->$name(children => 24);
        $host->location("/$#app/", app => $app[-1],
            pool => { queue_timeout => '60s' });
    }
    return if !@app;
    $host->start;
    my $port = $host->port;

    # They all begin together: forking them takes a while.
    my $go = $host->dir . '/tmp/go';
    my %client;
    my $load = FCNG::Load->start(CLIENTS, sub {
        my ($n, $count) = @_;
        wait_until(60, sub { -e $go }) if !$count;
        my ($sent, $got) = map { Digest::SHA->new(256) } 1 .. 2;
        my $path = '/' . $n % @app . "/x?$n.$count";
        # A new connection now and then.
        my $client = delete $client{$n};
        $client = FCNG::HTTP->new($port)
            if !$client || $count % 8 == 0 || defined $client->{eof};
        return "$path: no connection: $!" if !$client;
        my $r = $client->request_on('POST', $path, seconds => 60,
            body => source($n, $count, $sent),
            $count % 2 ? (chunked => 1) : (length => SIZE),
            sink => sub { $got->add($_[0]) });
        $client{$n} = $client;
        return "$path: status $r->{status} " . ($r->{error} // '')
            if $r->{status} != 200;
        return "$path: $r->{size} bytes " . ($r->{error} // '')
            if !$r->{complete} || $r->{size} != SIZE;
        return $got->hexdigest eq $sent->hexdigest ? ''
            : "$path: another SHA-256";
    }, seconds => 600);
    spew($go, '');
    sleep $seconds;
    my ($count, @faults) = $load->stop(90);
    is(join("\n", @faults[0 .. ($#faults < 9 ? $#faults : 9)]), '',
        "$count requests, each with its own bytes")
        or diag(scalar(@faults) . ' faults', "\n", $host->log);
    cmp_ok($count, '>', CLIENTS * 2, 'and many of them');
    is($load->served, CLIENTS, 'each client was served');
    note(sprintf '%.0f requests a second', $count / $seconds);
});
