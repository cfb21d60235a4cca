# SPDX-License-Identifier: BSD-2-Clause
#
# A server that is told to stop in order (nginx: QUIT, httpd: WINCH) serves
# what it has begun to its end, closes idle connections to applications at
# once, and then goes; told to stop at once (TERM) it leaves nothing behind.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep time);

sub stops {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $body = $r->body;
        $r->out("Content-Type: text/plain\r\n\r\nbegin ");
        $r->wait_gate('go') if $r->action eq 'long';
        $r->out("$body end");
        $r->end;
    });
    $host->location('/app/', app => $app, pool => { idle_timeout => '1h' },
        options => { buffering => 'off', request_buffering => 'off' })->start;
    my @idle = map { $host->client } 1 .. 3;
    $_->request_on('GET', '/app/long', part => 1) for @idle;
    $app->wait_event('request', count => 3);
    $app->open_gate('go');
    is($_->rest(seconds => 5)->{body}, 'begin  end', 'a response') for @idle;
    $_->close for @idle;
    $app->close_gate('go');

    # One in the response, one in the body, when the signal comes.
    my $slow = $host->client;
    $slow->request_on('GET', '/app/long', part => 1);
    my $upload = $host->client;
    $upload->send(FCNG::HTTP::head('POST', '/app/upload', length => 8)
        . 'half');
    ok($app->wait_event('request', count => 5), 'two requests run');
    $host->signal($host->is_nginx ? 'QUIT' : 'WINCH');
    my $port = $host->port;
    ok(wait_until(5, sub { !FCNG::HTTP->new($port) }),
        'no new client is taken');
    my $left;
    ok(wait_until(3, sub {
        my ($opened, $closed) = $app->counts;
        return ($left = $opened - $closed) <= 2;
    }), 'idle connections are closed at once') or diag("$left are open");
    $upload->send('full');
    is($upload->response(seconds => 5)->{body}, 'begin halffull end',
        'the upload comes to its end');
    $app->open_gate('go');
    my $r = $slow->rest(seconds => 5);
    is($r->{body}, 'begin  end', 'the response comes to its end');
    ok($r->{complete}, 'and is whole');
    $_->close for $slow, $upload;
    my $pid = delete $host->{pid};
    my $gone = wait_until(15, sub { waitpid($pid, POSIX::WNOHANG()) != 0 });
    my $status = $?;
    ok($gone, 'the server goes');
    is($status, 0, 'in order');
    FCNG::Util::dismiss($pid) if $gone;
    $host->{pid} = $pid if !$gone;

    # At once, with a request under way.
    return if !$gone;
    $app->close_gate('go');
    $host->start;
    $slow = $host->client;
    $slow->request_on('GET', '/app/long', part => 1);
    my $start = time;
    ok($host->running, 'it runs again');
    $pid = delete $host->{pid};
    is(FCNG::Util::end_child($pid, 'TERM', 10), 0, 'TERM: it goes');
    cmp_ok(time - $start, '<', 6, 'at once');
    ok(!$slow->rest(seconds => 2)->{complete},
        'what was cut off does not look complete');
    $slow->close;
    $app->open_gate('go');
    ok($app->wait_idle, 'the application sees its connections closed');
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    return pass('one process alone stops otherwise') if !$host->reloads;
    stops($host);
});
