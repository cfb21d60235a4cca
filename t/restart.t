# SPDX-License-Identifier: BSD-2-Clause
#
# An application that is being restarted: for a moment its socket is missing
# or refuses, and what it was doing when it was told to go has no answer.  It
# is waited for, and asked once more.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(spew);
use IO::Socket::UNIX ();
use Socket qw(SOCK_STREAM);
use Test::More;
use Time::HiRes qw(sleep time);

FCNG::Hosts->each(log_level => 'info', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        my $do = $r->action;
        my $seen = $r->conn->{app}{dir} . "/$do";
        # Ends before it has answered: once, or each time.
        if ($do eq 'never' || $do =~ /^once/ && !-e $seen) {
            spew($seen, '');
            return $r->die_now;
        }
        $r->text("$do $body");
    });
    $host->location('/app/', app => $app, pool => { max_idle => 0 })->start;
    is($host->get('/app/x')->{body}, 'x ', 'it serves');

    # Gone and back: neither the missing socket nor one that refuses fails.
    for my $how (qw(missing refuses)) {
        $app->wait_idle;
        $app->stop;
        if ($how eq 'refuses') {
            IO::Socket::UNIX->new(Type => SOCK_STREAM, Local => $app->path,
                Listen => 1) or die "listen: $!\n";
            chmod 0777, $app->path;
        }
        my @clients = map { $host->client } 1 .. 4;
        my $start = time;
        $clients[$_]->send(FCNG::HTTP::head($_ % 2 ? 'POST' : 'GET',
            "/app/n$_", close => 1, $_ % 2 ? (length => 4) : ())
            . ($_ % 2 ? 'body' : '')) for 0 .. 3;
        sleep 0.5;
        $app->start;
        for my $n (0 .. 3) {
            my $r = $clients[$n]->response(seconds => 5);
            is("$r->{status} $r->{body}", "200 n$n " . ($n % 2 ? 'body' : ''),
                "$how for half a second: request $n waits");
            $clients[$n]->close;
        }
        cmp_ok(time - $start, '<', 1.5, 'and is served as soon as it is up');
    }
    $app->wait_idle;
    $app->stop;
    my $start = time;
    my $r = $host->get('/app/x', seconds => 5);
    is($r->{status}, $host->is_nginx ? 502 : 503, 'one that stays away');
    my $took = time - $start;
    ok($took > 0.9 && $took < 2, 'is waited for a second') or diag($took);
    # Nor for another second by each request, until it is up again.
    $start = time;
    isnt($host->get('/app/x', seconds => 5)->{status}, 200, 'still away')
        for 1 .. 3;
    cmp_ok(time - $start, '<', 0.8, 'and not waited for again');
    $app->start;
    is($host->get('/app/x', seconds => 5)->{body}, 'x ', 'it is back');
    $app->wait_idle;
    $app->stop;
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', '/app/x', close => 1));
    sleep 0.3;
    $app->start;
    is($client->response(seconds => 5)->{body}, 'x ',
        'the next restart is waited for');
    $client->close;
    $app->wait_idle;
    $app->restart; # the one that began meanwhile has the client's socket too
    # A GET that had no answer is sent once more, after a pause; a POST
    # may have been done.
    $r = $host->get('/app/once1', seconds => 5);
    is("$r->{status} $r->{body}", '200 once1 ', 'GET is sent once more');
    $r = $host->post('/app/once2', 'body', seconds => 5);
    is($r->{status}, 502, 'POST is not');
    my @seen = grep { $_->{env}{PATH_INFO} =~ /once2/ }
        $app->events('request');
    is(scalar @seen, 1, 'it was done once');
    $app->forget;
    is($host->get('/app/never', seconds => 5)->{status}, 502,
        'a request that ends it each time');
    is(scalar(() = $app->events('request')), 2, 'was sent twice, no more');
    my ($first, $second) = $app->events('request');
    cmp_ok($second->{at} - $first->{at}, '>', 0.09, 'with a pause');
    is($host->get('/app/x')->{body}, 'x ', 'the next one is served');
});
