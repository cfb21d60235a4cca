# SPDX-License-Identifier: BSD-2-Clause
#
# One turn of nginx's event loop in which a request comes first, and then its
# application is killed: the request gets the kept connection, cannot be
# written to it, and waits for the application to be there again.  That the
# connection has ended comes afterwards and is no end of this request.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(forget_fd in_one_turn keep_fd);
use Test::More;
use Time::HiRes qw(sleep);

sub turns {
    my ($host, $way, %words) = @_;
    my $app = FCNG::App->new(quiet => 1, $way, sub {
        my ($r) = @_;
        my $body = $r->body;
        $r->text($r->action . " $body");
    });
    $host->location('/app/', app => $app, pool => {
        idle_timeout => '1s', %words });
    $host->status_at('/status');
    $host->start;
    my ($worker) = $host->workers;
    my $client = $host->client;
    keep_fd($client->{socket}); # the application that is started has it not
    my $stale = 0;
    for my $try (['GET', ''], ['POST', 'body'], ['POST', 'x' x 100_000]) {
        my ($method, $body) = @$try;
        my $what = "$method with " . length($body) . ' bytes';
        # One that is closed behind its first answer may be an application
        # that cannot share.
        is($client->request_on('GET', '/app/keep')->{status}, 200,
            'a kept connection') for 1 .. 2;
        sleep 0.15; # or a POST would not get it
        in_one_turn($worker, sub {
            $client->send(FCNG::HTTP::head($method, '/app/next',
                length => length $body || undef) . $body);
            $app->kill_all;
        });
        sleep 0.2;
        $app->start;
        my $r = $client->response(seconds => 5);
        is("$r->{status} $r->{body}", "200 next $body", $what);
        is($host->status->{ $app->address }{stale}, ++$stale,
            'it had been given the kept connection');
    }
    forget_fd($client->{socket});
    $client->close;
}

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    $host->another('exclusive connections', sub { turns(@_, 'request') });
    $host->another('shared connections', sub { turns(@_, 'multiplex',
        multiplex => 'on') });
});
