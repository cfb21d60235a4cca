# SPDX-License-Identifier: BSD-2-Clause
#
# Connections that are opened before a request needs them: so many over all
# processes, shortly after the start, kept, replaced when they are old or
# gone, by more than one process; and none where the application is away.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until);
use Test::More;
use Time::HiRes qw(sleep time);

sub app {
    return FCNG::App->new(@_, request => sub { $_[0]->text('ok') });
}

sub open_now {
    my ($app) = @_;
    my ($opened, $closed) = $app->counts;
    return $opened - $closed;
}

# Ten, of which none is older than a second and a half.
sub kept {
    my ($host) = @_;
    my %app = (unix => app(), tcp => app(listen => 'tcp'), short => app());
    $host->location('/unix/', app => $app{unix}, pool => { min_idle => 10 });
    $host->location('/tcp/', app => $app{tcp}, pool => { min_idle => 5 });
    $host->location('/short/', app => $app{short}, pool => { min_idle => 4,
        max_lifetime => '1500ms' });
    $host->status_at('/status');
    $host->start;
    ok(wait_until(3, sub { open_now($app{unix}) == 10
        && open_now($app{tcp}) == 5 && open_now($app{short}) == 4 }),
        'opened before any request')
        or diag(join ' ', map { open_now($app{$_}) } sort keys %app);
    # idle_timeout is a second.
    sleep 2.5;
    is(open_now($app{unix}), 10, 'ten are kept');
    is(($app{unix}->counts)[1], 0, 'the same ones');
    my $row = $host->status->{$app{unix}->address};
    is($row->{idle}, 10, 'which are idle');
    is($row->{opened}, 10, 'and counted');
    is($row->{requests}, 0, 'not as requests');
    ok(wait_until(4, sub { ($app{short}->counts)[1] >= 4
        && open_now($app{short}) == 4 }), 'old ones are replaced');
    my ($before) = $app{unix}->counts;
    my $ok = 0;
    $ok += $host->get('/unix/x')->{status} == 200 for 1 .. 30;
    is($ok, 30, 'requests use them');
    cmp_ok(($app{unix}->counts)[0] - $before, '<', 20, 'most of them');
    is($host->status->{$app{unix}->address}{stale}, 0, 'and find them alive');

    # The application goes and comes back.
    $host->expect(qr/connect\(\) failed/);
    $app{tcp}->stop;
    sleep 1.2;
    is($host->get('/index.html')->{status}, 200, 'it is away');
    $app{tcp}->forget->start;
    ok(wait_until(6, sub { open_now($app{tcp}) == 5 }),
        'it is back: they are opened again') or diag open_now($app{tcp});
    my @told = grep { /FCNG001.*min_idle/i } split /\n/, $host->log;
    cmp_ok(scalar @told, '<=', 2 * (() = $host->workers),
        'its being away is told once a process');

    # A reload: new processes open theirs, old ones close.
    if ($host->reloads) {
        ok($host->reload, 'reload');
        ok(wait_until(8, sub { open_now($app{unix}) == 10 }),
            'ten again') or diag open_now($app{unix});
    }
    $_->forget for values %app;
    $host->{apps} = [grep { $_ != $app{tcp} } @{ $host->{apps} }];
    $host->keeps_idle;
}

# In several processes, each opens its share.
sub spread {
    my ($host) = @_;
    my $app = app();
    $host->location('/app/', app => $app, pool => { min_idle => 4 });
    $host->status_at('/status');
    $host->start;
    ok(wait_until(3, sub { open_now($app) == 4 }), 'four');
    sleep 1.3;
    is(open_now($app), 4, 'and not four times four');
    is($host->status->{$app->address}{idle}, 4, 'over all processes');
    $host->keeps_idle;
}

# An application with fewer processes than that: requests are served all the
# same, for what is idle gives way to what waits.
sub small {
    my ($host) = @_;
    my $app = app(workers => 2);
    $host->location('/app/', app => $app, pool => { min_idle => 4 });
    $host->start;
    ok(wait_until(3, sub { open_now($app) == 2 }), 'two of four are accepted');
    my ($ok, $longest) = (0, 0);
    for (1 .. 10) {
        my $from = time;
        $ok += $host->get('/app/x', seconds => 5)->{status} == 200;
        my $took = time - $from;
        $longest = $took if $took > $longest;
    }
    is($ok, 10, 'ten requests');
    # None is delayed for longer than idle_timeout, a second, and 0.2; twice
    # that on a loaded machine.  Of those that min_idle keeps none is closed by
    # time.
    cmp_ok($longest, '<', 2.4, 'each in time');
    $host->keeps_idle;
}

# Processes of one request each have no thread for it.
sub prefork {
    my ($host) = @_;
    my $app = app();
    $host->location('/app/', app => $app, pool => { min_idle => 4 });
    $host->start;
    like($host->log, qr/FastCgiNgPool pool1: min_idle has no effect/,
        'it is told');
    is($host->get('/app/x')->{status}, 200, 'requests are served');
    sleep 1.5;
    is(($app->counts)[0], 1, 'and nothing is opened ahead');
}

my %parts = (kept => \&kept, spread => \&spread, small => \&small);
my @parts = $ENV{PARTS} ? split(/,/, $ENV{PARTS}) : sort keys %parts;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    $host->another('prefork', mpm => 'prefork', workers => 2, \&prefork)
        if $host->is_apache && $host->reloads;
    $host->another($_, workers => $_ eq 'kept' ? 2 : 4, $parts{$_})
        for @parts;
});
