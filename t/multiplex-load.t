# SPDX-License-Identifier: BSD-2-Clause
#
# Shared connections under load: small and large responses and bodies, clients
# that leave in the middle, slow ones, reloads.  Each response that is whole is
# the right one, none fails, and nothing is left behind.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep);

my $rounds = $ENV{FCNG_SAN} ? 1 : 2;

# A response of so many bytes, the same for the same path and body only.
sub bytes {
    my ($path, $body, $size) = @_;
    my $line = md5_hex($path . $body);
    return substr $line x (1 + $size / 32), 0, $size;
}

sub serve {
    my ($r) = @_;
    my $path = ($r->env('SCRIPT_NAME') // '') . ($r->env('PATH_INFO') // '');
    my ($size) = $path =~ m{/(\d+)\.x$};
    $r->queue("Content-Type: text/plain\r\n\r\n"
        . bytes($path, $r->body, $size));
    return $r->finish;
}

# By turns: small and large ones, bodies, clients that leave, slow ones.
sub one {
    my ($port, $n, $count) = @_;
    my $what = ($n + $count) % 9;
    my $size = $what < 5 ? 1 + $count * 7919 % 3000
        : $what < 8 ? $count * 104_729 % 90_000 : 3_000_000;
    # A folder that is new, or it would be known that it has large ones.
    my $path = "/app/$what.$n.$count/$size.x";
    my $body = $what % 3 == 1 ? 'b' x ($count * 7919 % 70_000) : '';
    if ($what == 5 || $what == 8) {
        my $client = FCNG::HTTP->new($port) or return 'no connection';
        $client->send(FCNG::HTTP::head('GET', $path, close => 1));
        sleep 0.05;
        $client->turn(0.1);
        if ($what == 5 && $count % 2) {
            $client->close;
            return '';
        }
        my $r = $client->response(seconds => 20);
        $client->close;
        return fault($r, $path, '', $size);
    }
    return fault(FCNG::HTTP::request($port, length $body ? 'POST' : 'GET',
        $path, length $body ? (body => $body) : (), seconds => 20), $path,
        $body, $size);
}

sub fault {
    my ($r, $path, $body, $size) = @_;
    return '' if $r->{status} == 200 && $r->{complete}
        && $r->{body} eq bytes($path, $body, $size);
    return "$path: status $r->{status}, $r->{size} bytes, "
        . ($r->{error} // '');
}

FCNG::Hosts->each(can => 'multiplexes', workers => 2, threads => 32, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, multiplex => \&serve);
    $host->location('/app/', app => $app,
        pool => { multiplex => 'on', max_streams => 8 });
    $host->status_at('/status');
    $host->start;
    my $port = $host->port;
    my $load = FCNG::Load->start(12, sub { one($port, @_) },
        seconds => 120);
    for (1 .. $rounds) {
        ok($load->more(120, 60), 'requests');
        ok($host->reload, 'a reload') if $host->reloads;
    }
    $load->more(120, 60);
    my ($count, @faults) = $load->stop;
    is(join("\n", @faults), '', "$count requests: each as it must be");
    my $row;
    ok(wait_until(10, sub {
        $row = $host->status->{ $app->address };
        return !grep { $row->{$_} }
            qw(active streams waiting connections);
    }), 'at the end no number is left') or diag(explain($row));
    cmp_ok($row->{shared}, '>', $count / 10,
        "$row->{shared} of $row->{requests} shared a connection");
});
