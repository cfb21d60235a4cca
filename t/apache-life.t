# SPDX-License-Identifier: BSD-2-Clause
#
# The life of a connection in each MPM: kept, watched and closed without any
# traffic, closed when a process ends, told to LogFormat.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until slurp);
use Test::More;
use Time::HiRes qw(sleep time);

my $app;

sub open_now {
    my ($opened, $closed) = $app->counts;
    return $opened - $closed;
}

sub try_mpm {
    my ($host) = @_;
    $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $do = $r->env('QUERY_STRING');
        sleep 0.3 if $do eq 'slow';
        $r->err("one\ntwo \x07 half") if $do eq 'stderr';
        $r->err(" and whole\nlast") if $do eq 'stderr';
        $r->text($do);
        $r->conn->wait_gate('close', 5), $r->conn->close if $do eq 'close';
    });
    $host->location('/short/', app => $app,
        pool => { idle_timeout => '300ms' });
    $host->location('/long/', app => $app, pool => { idle_timeout => '60s' },
        options => { stderr => 'warn' });
    $host->location('/single/', app => $app, pool => { max_idle => 0 });
    $host->location('/quiet/', app => $app, options => { stderr => 'off' });
    my $log = $host->dir . '/logs/access.log';
    $host->server(apache => 'LogFormat "%U q=%{fastcgi_ng_queue_time}n '
        . 'c=%{fastcgi_ng_connect_time}n f=%{fastcgi_ng_first_byte_time}n '
        . 's=%{fastcgi_ng_app_status}n r=%{fastcgi_ng_reused}n '
        . 'i=%{fastcgi_ng_stream_id}n p=%{fastcgi_ng_pool}n" ng'
        . "\nCustomLog $log ng");
    $host->start;

    # Nobody asks for anything, and still they are closed.
    my @clients = map { $host->client } 1 .. 4;
    $_->send("GET /short/?slow HTTP/1.1\r\nHost: x\r\n"
        . "Connection: close\r\n\r\n") for @clients;
    is($_->response(seconds => 5)->{body}, 'slow', 'answered')
        for @clients;
    $_->close for @clients;
    ok(wait_until(2, sub { (open_now())[0] == 0 }),
        'idle connections are closed without traffic');

    # One that the application closes is not left half open.
    is($host->get('/long/?close')->{body}, 'close', 'a kept connection');
    is(open_now(), 1, 'is idle');
    $app->open_gate('close');
    ok(wait_until(2, sub { !$host->excess }),
        'what the application closes is closed here');

    is($host->get('/single/')->{status}, 200, 'max_idle=0');
    ok(wait_until(2, sub { open_now() == 0 }), 'nothing is kept');
    is(($app->events('request'))[-1]{flags}, 0, 'nor asked to be');

    my $again = $host->client;
    for my $n (1, 2) {
        $again->send("GET /long/$n HTTP/1.1\r\nHost: x\r\n\r\n");
        is($again->response(seconds => 5)->{status}, 200, "kept, $n");
    }
    $again->close;
    my $line = qr{/long/2 q=0\.000 c=0\.000 f=\d\.\d{3} s=0 r=1 i=[12] p=pool2};
    ok(wait_until(3, sub { slurp($log) =~ $line }), 'the notes of a request')
        or diag slurp($log);

    # STDERR: whole lines, escaped, at the level that was asked for.
    $host->mark_log;
    $host->get('/long/?stderr');
    for my $want ('STDERR: one$', 'STDERR: two \\\\+x07 half and whole$',
        'STDERR: last$') {
        like($host->wait_log(qr/$want/m) // '', qr/fastcgi_ng:warn/, $want);
    }
    $host->mark_log;
    $host->get('/quiet/?stderr');
    sleep 0.2;
    unlike($host->new_log, qr/STDERR/, 'FastCgiNgStderr off');

    # A reload keeps no connection of the old processes.
    my $before = open_now();
    ok($before > 0, 'one is idle, for a minute');
    if ($host->reloads) {
        ok($host->reload, 'reloaded');
        ok(wait_until(3, sub { open_now() == 0 }), 'nothing is left of it');
    } else {
        $host->get('/long/?close'); # the idle one
    }
    is($host->get('/short/after')->{status}, 200, 'the new ones serve');
}

my @mpms = $ENV{FCNG_MPM} // qw(event worker prefork);
@mpms = grep { $_ ne 'event' } @mpms # see FCNG::Host::Apache
    if ($ENV{FCNG_SAN} // '') =~ /thread/;
my @wanted = grep { $_ eq 'apache' } FCNG::Hosts->wanted;
plan skip_all => 'apache is not among the hosts to test' if !@wanted;
for my $mpm (@mpms) {
    my $missing = FCNG::Host::Apache->missing;
    SKIP: {
        skip $missing, 1 if $missing;
        subtest $mpm => sub {
            my $host = FCNG::Host::Apache->new(mpm => $mpm);
            eval { try_mpm($host); 1 } or fail("the test died: $@");
            $host->finish;
        };
    }
}
done_testing();
