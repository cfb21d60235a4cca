# SPDX-License-Identifier: BSD-2-Clause
#
# What applications on other people's libraries do, each in its own way: a
# listening socket as descriptor 0 and many requests at once (FCGI::Async),
# few processes of one connection each (FCGI.pm under spawn-fcgi), requests
# that begin with their last byte and streams that always end
# (tokio-fastcgi), parameters that are dropped and roles that are refused
# (Deno's fcgi).
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Load;
use FCNG::Programs;
use FCNG::Util qw(wait_until);
use FCNG::Wire qw(record stream end_request unknown_type);
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep time);

sub unless_missing {
    my ($what, $code) = @_;
    if (my $missing = FCNG::Programs->missing($what)) {
        SKIP: { skip $missing, 1 }
        return;
    }
    return $code->();
}

# One process with fifty requests at once, each on its connection; those that
# need less time are answered first.
sub async {
    my ($host) = @_;
    my %app = map { $_ => FCNG::Programs->async(listen => $_, on_stdin => 1) }
        qw(unix tcp);
    $host->location("/$_/", app => $app{$_}) for keys %app;
    $host->start;
    for my $listen (sort keys %app) {
        is($host->post("/$listen/x", "a body\n")->{body}, "a body\n",
            "$listen: the socket is descriptor 0");
        my @clients = map { $host->client } 1 .. 50;
        for my $n (0 .. $#clients) {
            my $wait = $n % 2 ? 1 : 0.2;
            $clients[$n]->send(FCNG::HTTP::head('GET',
                "/$listen/x?meet=50&wait=$wait"));
        }
        my @answers = map { $_->response(seconds => 10)->{body} } @clients;
        is(join(' ', sort { $a <=> $b } @answers), join(' ', 1 .. 50),
            "$listen: fifty are there at once, all are answered");
        is(scalar(grep { $answers[$_] > 25 } grep { !($_ % 2) } 0 .. 49), 0,
            "$listen: and those that need less time first");
        $_->close for @clients;
    }
}

# Four processes, each bound to its connection: eight clients without any
# limit, and with what fits.
sub few {
    my ($host) = @_;
    my %app = map { $_ => FCNG::Programs->fcgi_pm(processes => 4) }
        qw(default fits);
    $host->location('/default/', app => $app{default});
    $host->location('/fits/', app => $app{fits}, pool => {
        max_idle => 4, max_connections => 4 });
    $host->start;
    for my $path (sort keys %app) {
        my $port = $host->port;
        my $load = FCNG::Load->start(8, sub {
            my ($n, $count) = @_;
            my $from = time;
            my $r = FCNG::HTTP::request($port, $n % 2 ? 'POST' : 'GET',
                "/$path/x", $n % 2 ? (body => "$n.$count") : (),
                seconds => 10);
            my $took = time - $from;
            return "status $r->{status} " . ($r->{error} // '')
                if $r->{status} != 200;
            return "answer $r->{body}" if $n % 2
                && $r->{body} !~ /^\d+ \Q$n.$count\E$/;
            return $took > 2 ? "$took s" : '';
        });
        ok($load->more(600, 30), "$path: eight clients on four processes");
        my ($count, @faults) = $load->stop;
        is(join(', ', @faults), '', "$path: $count requests, each served"
            . ' in time');
    }
}

# tokio-fastcgi: a request begins when all of it is there; STDERR and STDOUT
# always end; ABORT_REQUEST of one that has ended, and a record of an unknown
# type, are answered with that id.
sub tokio {
    my ($host) = @_;
    my %quote;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        my ($id) = $r->{id};
        my ($n) = ($r->env('PATH_INFO') // '') =~ m{^/quote/?(\d*)$};
        my $method = $r->env('REQUEST_METHOD');
        my $dir = $r->conn->{app}{dir};
        my ($status, $out) = (404, '');
        if (($r->env('PATH_INFO') // '') eq '/ping') {
            ($status, $out) = (200, 'pong');
        }
        elsif (defined $n && $method eq 'POST') {
            my $next = 1 + (() = glob "$dir/quote.*");
            open my $fh, '>', "$dir/quote.$next" or die;
            print $fh $body;
            ($status, $out) = (201, $next);
        }
        elsif (defined $n && -e "$dir/quote.$n") {
            if ($method eq 'GET') {
                open my $fh, '<', "$dir/quote.$n" or die;
                ($status, $out) = (200, do { local $/; <$fh> });
            }
            elsif ($method eq 'PUT') {
                open my $fh, '>', "$dir/quote.$n" or die;
                print $fh $body;
                $status = 204;
            }
            elsif ($method eq 'DELETE') {
                unlink "$dir/quote.$n";
                $status = 204;
            }
        }
        $r->{ended} = 1;
        my $type = FCNG::Wire::T_UNKNOWN_TYPE;
        $r->send(stream(FCNG::Wire::T_STDOUT, $id, "Status: $status\r\n"
                . "Content-Type: text/plain\r\n\r\n$out")
            . record($type, $id, pack 'Cx7', 77)
            . record(FCNG::Wire::T_STDOUT, $id, '')
            . record(FCNG::Wire::T_STDERR, $id, '') . end_request($id));
        # The answer to an abort that came too late.
        $r->send(end_request($id)) if $body eq 'twice';
    });
    $host->location('/api/', app => $app, pool => { idle_timeout => '5s' });
    $host->start;
    my $client = $host->client;
    my $ask = sub {
        my ($method, $path, $body) = @_;
        my $r = $client->request_on($method, "/api$path",
            defined $body ? (body => $body) : ());
        return "$r->{status} $r->{body}";
    };
    $host->mark_log;
    is($ask->('GET', '/ping'), '200 pong', 'ping');
    is($ask->('POST', '/quote', 'first'), '201 1', 'POST');
    is($ask->('GET', '/quote/1'), '200 first', 'GET');
    is($ask->('PUT', '/quote/1', 'other'), '204 ', 'PUT');
    is($ask->('GET', '/quote/1'), '200 other', 'what PUT has put');
    is($ask->('DELETE', '/quote/1'), '204 ', 'DELETE');
    is($ask->('GET', '/quote/1'), '404 ', 'what is gone');
    my ($opened) = $app->counts;
    $ask->('GET', '/ping') for 1 .. 200;
    is(($app->counts)[0], $opened, 'two hundred on the connections there were');
    is($ask->('POST', '/quote', 'twice'), '201 1', 'an end that comes twice');
    is($ask->('GET', '/quote/1'), '200 twice', 'ends nothing else');
    $client->close;
    unlike($host->new_log, qr/FCNG0(?:05|11)/, 'the end of STDERR is no line,'
        . ' an unknown type no fault');
}

# A body of which the application hears nothing before its last byte: it
# goes on as it comes, and no answer is waited for meanwhile.
sub whole {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $length = 0;
        while (defined(my $piece = $r->read_stdin)) {
            $length += length $piece;
        }
        $r->text($length);
    });
    $host->location('/app/', app => $app,
        options => { request_buffering => 'off', read_timeout => '2s' });
    $host->start;
    my $before = $host->memory('VmRSS');
    my $client = $host->client;
    my $piece = 'x' x 1_048_576;
    $client->send(FCNG::HTTP::head('POST', '/app/x', length => 64 << 20));
    for (1 .. 64) {
        $client->send($piece);
        sleep 0.05;
    }
    is($client->response(seconds => 20)->{body}, 64 << 20, 'a body of 64 MiB,'
        . ' sent for longer than read_timeout');
    $client->close;
    cmp_ok($host->memory('VmHWM') - $before, '<', 16_384,
        'which is never in memory whole');
}

# Deno's fcgi: Responder only, one request a connection, names of more than
# 256 bytes and values of more than 4096 are dropped.
sub deno {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $env = $r->{env};
        delete $env->{$_} for grep { length $_ > 256
            || length $env->{$_} > 4096 } keys %$env;
        return $r->end(0, FCNG::Wire::UNKNOWN_ROLE) if $r->action eq 'role';
        return $r->answer("Status: 404\r\nContent-Type: text/plain\r\n\r\n"
            . 'Not Found') if $r->action eq 'nowhere';
        return $r->answer("Content-Type: text/plain\r\nSet-Cookie: a=1\r\n"
            . "Set-Cookie: b=2; Path=/\r\nSet-Cookie: c=3\r\n\r\nthree")
            if $r->action eq 'cookies';
        $r->text(length($env->{HTTP_COOKIE} // ''));
    });
    $host->location('/app/', app => $app);
    $host->start;
    my $r = $host->get('/app/cookies');
    is(join('|', $r->header('Set-Cookie')), 'a=1|b=2; Path=/|c=3',
        'three cookies');
    $r = $host->get('/app/nowhere');
    is("$r->{status} $r->{body}", '404 Not Found', 'what nobody answers');
    is($host->get('/app/role')->{status}, 500, 'UNKNOWN_ROLE');
    is($host->get('/app/x', headers => [Cookie => 'x' x 4000])->{body}, 4000,
        'a cookie of 4000 bytes');
    is($host->get('/app/x', headers => [Cookie => 'x' x 5000])->{body}, 0,
        'one of 5000: the application drops it, the request is served');
}

my %parts = (async => sub { my ($h) = @_; unless_missing('async',
    sub { async($h) }) }, few => sub { my ($h) = @_; unless_missing('fcgi_pm',
    sub { few($h) }) }, tokio => \&tokio, whole => \&whole, deno => \&deno);
my @parts = $ENV{PARTS} ? split(/,/, $ENV{PARTS}) : sort keys %parts;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    $host->another($_, threads => 64, $parts{$_}) for @parts;
});
