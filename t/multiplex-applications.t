# SPDX-License-Identifier: BSD-2-Clause
#
# multiplex=auto with other people's libraries: Go's net/http/fcgi and
# FCGI::Async say that they multiplex, and requests share their connections;
# libfcgi and PHP-FPM do not, and each has its own.  Whoever is asked, each
# client gets back what it sent.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Util qw(spew);
use Test::More;

my %shares = (go => 1, async => 1, libfcgi => 0, php_fpm => 0);

FCNG::Hosts->each(can => 'multiplexes', threads => 48, sub {
    my ($host) = @_;
    my (%app, %path);
    for my $name (sort keys %shares) {
        if (my $missing = FCNG::Programs->missing($name)) {
            SKIP: { skip $missing, 1 }
            next;
        }
        $app{$name} = FCNG::Programs->$name;
        $path{$name} = "/$name/x";
        my @how = (app => $app{$name}, pool => { multiplex => 'auto' });
        if ($name eq 'php_fpm') {
            $host->file('echo.php', "<?php readfile('php://input');");
            $host->files('.php', @how);
            $path{$name} = '/echo.php';
        }
        else { $host->location("/$name/", @how) }
    }
    $host->status_at('/status');
    $host->start;
    for my $name (sort keys %app) {
        my ($port, $path) = ($host->port, $path{$name});
        my $load = FCNG::Load->start(12, sub {
            my ($n, $count) = @_;
            my $size = ($n + 1) * $count * 7919 % ($n % 3 ? 2_000 : 200_000);
            my $body = substr sha256_hex("$n.$count")
                x (1 + $size / 64), 0, $size + 1;
            my $r = FCNG::HTTP::request($port, 'POST', $path, body => $body,
                seconds => 20);
            return $r->{status} == 200 && $r->{body} eq $body ? ''
                : "status $r->{status}, $r->{size} of $size "
                    . ($r->{error} // '');
        });
        $load->more(300);
        my ($count, @faults) = $load->stop;
        is(join("\n", @faults), '', "$name: $count requests, 12 at a time");
        my $row = $host->status->{ $app{$name}->address };
        if ($shares{$name}) {
            # How many of these did depends on when their sizes were learnt.
            my $shared = $row->{shared};
            my @clients = map { $host->client } 1 .. 6;
            $_->send(FCNG::HTTP::head('GET', "/$name/met?meet=6&wait=0"))
                for @clients;
            is(join(' ', sort map { $_->response(seconds => 10)->{body} }
                @clients), '1 2 3 4 5 6', "$name: six meet");
            $_->close for @clients;
            $row = $host->status->{ $app{$name}->address };
            is($row->{shared} - $shared, 5, "$name: on one connection");
        }
        else {
            is($row->{shared}, 0, "$name: none shared a connection");
        }
        is($row->{closed_early} + $row->{protocol_errors}
            + $row->{other_errors} + $row->{timeouts}, 0,
            "$name: nothing went wrong");
    }
});
