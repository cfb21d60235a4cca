# SPDX-License-Identifier: BSD-2-Clause
#
# What a reload, or a graceful stop, finds open: idle connections to
# applications are closed at once, whatever idle_timeout says, while responses
# that are under way come to their end, and the old processes go.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(time);

# Three requests at once: two connections are idle then, the third client is
# still being answered.
sub begin {
    my ($host) = @_;
    return pass('one process alone does not reload') if !$host->reloads;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->out("Content-Type: text/plain\r\n\r\nbegin ");
        $r->wait_gate('go') if $r->action eq 'long';
        $r->out('end');
        $r->end;
    });
    my @unsent = $host->is_nginx ? (options => { buffering => 'off' }) : ();
    $host->location('/app/', app => $app, @unsent,
        pool => { idle_timeout => '1h' })->start;

    my @clients = map { $host->client } 1 .. 3;
    $_->request_on('GET', '/app/long', part => 1) for @clients[0, 1];
    $app->wait_event('request', count => 2);
    $app->open_gate('go');
    is($_->rest(seconds => 5)->{body}, 'begin end', 'a response')
        for @clients[0, 1];
    $_->close for @clients;
    $app->close_gate('go');
    my $slow = $host->client;
    $slow->request_on('GET', '/app/long', part => 1);
    $app->wait_event('request', count => 3) or diag('no third request');
    my ($opened, $closed) = $app->counts;
    cmp_ok($opened - $closed, '>=', 2, 'idle connections are kept');
    return ($app, $slow);
}

sub closes {
    my ($app) = @_;
    my $left = 0;
    ok(wait_until(3, sub {
        my ($opened, $closed) = $app->counts;
        return ($left = $opened - $closed) <= 1;
    }), 'idle connections are closed at once')
        or diag("$left are open");
}

sub ends {
    my ($app, $slow) = @_;
    $app->open_gate('go');
    my $r = $slow->rest(seconds => 5);
    is($r->{body}, 'begin end', 'the response under way comes to its end');
    ok($r->{complete}, 'and is whole');
    $slow->close;
}

sub reloads {
    my ($host) = @_;
    return pass('one process alone does not reload') if !$host->reloads;
    my ($app, $slow) = begin($host);
    my %old = map { $_ => 1 } $host->workers;
    my $from = time;
    ok($host->reload(keep_old => 1), 'reload');
    closes($app);
    cmp_ok(time - $from, '<', 6, 'that took little time');
    is(scalar(() = $host->get('/index.html')->{status} == 200), 1,
        'the new processes serve');

    ends($app, $slow);
    ok(wait_until(10, sub { !grep { $old{$_} } $host->workers }),
        'the old processes are gone') or diag(join ' ', $host->workers);
}

# A graceful stop waits for the response, not for idle connections.
sub stops {
    my ($host) = @_;
    my ($app, $slow) = begin($host);
    my $pid = $host->{pid};
    $host->signal($host->is_nginx ? 'QUIT' : 'WINCH');
    closes($app);
    ok($host->running, 'the server waits for the response');
    ends($app, $slow);
    ok(wait_until(10, sub { waitpid($pid, POSIX::WNOHANG()) == $pid }),
        'then it ends') or return;
    is($?, 0, 'in order');
    FCNG::Util::dismiss(delete $host->{pid});
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    # Prefork has a process for each request: a graceful restart is its own
    # case.
    my @ways = $host->is_apache && !$host->single ? qw(event prefork) : '';
    for my $way (@ways) {
        my @how = $way ? (mpm => $way) : ();
        $host->another("$way reload", @how, \&reloads);
        $host->another("$way graceful stop", @how, \&stops)
            if $host->reloads;
    }
});
