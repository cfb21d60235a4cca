# SPDX-License-Identifier: BSD-2-Clause
#
# An application that is down while many ask for it: the operator reads a few
# lines that say so, not one for each request, and one when it is back, with
# how many requests it has cost.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use Test::More;
use Time::HiRes qw(time);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub { $_[0]->text('ok') });
    $host->location('/app/', app => $app, pool => { max_idle => 0 });
    $host->expect(qr/\[crit\].*connect\(\) to unix:/)->start;
    is($host->get('/app/x')->{body}, 'ok', 'it serves');

    for my $round (1, 2) {
        ok($app->wait_idle, 'nothing is open');
        $app->stop;
        $host->mark_log;
        my $failed = $host->is_nginx ? 502 : 503;
        my @clients = map { $host->client } 1 .. 30;
        $_->send(FCNG::HTTP::head('GET', '/app/x', close => 1))
            for @clients;
        my @status = map { $_->response(seconds => 5)->{status} } @clients;
        $_->close for @clients;
        is(scalar(grep { $_ == $failed } @status), 30,
            "thirty requests fail, $round");
        my @lines = grep { /FCNG0(?:01|16)/ } split /\n/, $host->new_log;
        ok(@lines >= 1 && @lines <= 7, 'in a few lines: ' . @lines)
            or diag(join "\n", @lines);
        my @down = grep { /FCNG016/ } @lines;
        is(scalar @down, 1, 'one says that it is down');
        like($down[0] // '',
            qr/FCNG016: .*connect\(\) to \Q@{[$app->address]}\E failed.*start/,
            'where, and what to do');
        # One that is known to be away is not waited for.
        my $start = time;
        is($host->get('/app/x', seconds => 5)->{status}, $failed, 'one more')
            for 1 .. 3;
        cmp_ok(time - $start, '<', 0.8, 'each fails at once');
        $app->start;
        is($host->get('/app/x', seconds => 5)->{status}, 200, 'it is back');
        like($host->wait_log(qr/FCNG017/) // '',
            qr/warn(?:ing)?\].*FCNG017: .*application is back; 33 attempts/,
            'and the log says what it has cost');
        $host->get('/app/x') for 1 .. 5;
        is(scalar(() = $host->new_log =~ /FCNG017/g), 1, 'once');
    }
});
