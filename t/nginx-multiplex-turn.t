# SPDX-License-Identifier: BSD-2-Clause
#
# Requests that share a connection and come in one turn of nginx's event loop
# leave in one write, with bodies or without, up to 64 KiB of them.  If the
# connection is closed before that, they go, with their bodies, to another one.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Sends;
use FCNG::Util qw(in_one_turn);
use Test::More;

my $missing = FCNG::Sends->missing;
plan skip_all => $missing if $missing;

my @body = ('a', '', 'bc', '', 'x' x 10_000, '');
my @large = map { $_ x 16_384 } 'a' .. 'f';

sub send_all {
    my ($method, $bodies, @clients) = @_;
    for my $n (0 .. $#clients) {
        my $body = $bodies->[$n];
        $clients[$n]->send(FCNG::HTTP::head($body eq '' ? 'GET' : $method,
            '/app/later', length => length $body || undef) . $body);
    }
}

sub are_answered {
    my ($what, $bodies, @clients) = @_;
    for my $n (0 .. $#clients) {
        my $r = $clients[$n]->response;
        ok($r->{status} == 200 && $r->{body} eq $bodies->[$n],
            "$what: client $n") or diag("$r->{status} $r->{size} bytes");
    }
}

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(multiplex => sub {
        my ($r) = @_;
        return $r->text('now') if $r->action eq 'now';
        if ($r->action eq 'later') {
            $r->note('whole');
            return $r->at('go', sub { $r->text($r->body) });
        }
        # Has an answer that does not end.
        $r->queue("Content-Type: text/plain\r\n\r\n");
        $r->at('cut', sub { $r->conn->close });
    });
    $host->location('/app/', app => $app, pool => { multiplex => 'on' });
    $host->status_at('/status');
    $host->server(nginx => "postpone_output 0;\n"
        . "client_body_buffer_size 16k;\n");
    my $sends = FCNG::Sends->new($host);
    $host->start;
    my ($worker) = $host->workers;
    my @clients = map { $host->client } @body;
    $_->request_on('GET', '/app/now') for @clients;
    $app->forget;

    my $before = $sends->count;
    in_one_turn($worker, sub { send_all('PUT', \@body, @clients) });
    ok($app->wait_event('whole', count => scalar @body), 'all arrive');
    is($sends->count - $before, 1, 'in one write');
    $app->open_gate('go');
    are_answered('one write', \@body, @clients);

    # No write has more than the record of a body that takes it over 64 KiB.
    $app->close_gate('go')->forget;
    $before = $sends->count;
    in_one_turn($worker, sub { send_all('PUT', \@large, @clients) });
    ok($app->wait_event('whole', count => scalar @large), 'all arrive');
    is($sends->count - $before, 2, 'in two writes');
    $app->open_gate('go');
    are_answered('larger bodies', \@large, @clients);
    is(($app->counts)[0], 1, 'on one connection');

    for my $method (qw(PUT POST)) {
        # A POST goes where the application has proved to be alive.
        my $held = $host->client;
        $held->request_on('GET', '/app/held', part => 1);
        $app->forget;
        in_one_turn($worker, sub {
            send_all($method, \@body, @clients);
            $app->open_gate('cut')->wait_event('close');
        });
        are_answered("$method, the connection was cut", \@body, @clients);
        $held->close;
        $app->close_gate('cut');
    }
    $_->close for @clients;
    is($host->status->{ $app->address }{stale}, 2 * @body,
        'each had been given the connection that was cut');
});
