# SPDX-License-Identifier: BSD-2-Clause
#
# Memory runs out: each allocation that a request needs fails, one after the
# other, until the request needs no more than there is.  That request may
# fail, with a status or a cut; nothing crashes, hangs or is left, and the next
# one is served.
use strict;
use warnings;
use FCNG::App;
use FCNG::Failing;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(free_port wait_until);
use Test::More;

use constant MOST => 400;   # allocations of one request

my $missing = FCNG::Failing->missing;
plan skip_all => $missing if $missing;

my $body = 'x' x 200_000;

sub app {
    return FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        my $size = length $r->body;
        if ($r->action eq 'err') {
            $r->err("a line\nhalf a line");
            $r->out("X-A: b\r\n");
            $r->err(" and its end\n" x 50);
        }
        # Known to be large, it would not share.
        my %length = (large => 300_000, medium => 120_000);
        $r->text('y' x ($length{$r->action} // 10) . $size, $r->action eq 'err'
            ? (map { ("X-Field-$_" => 'v' x 100) } 1 .. 60) : ());
    });
}

# name => the request.  fresh: on a new connection.
my @cases = (
    ['a new connection', '/new/x', fresh => 1],
    ['a kept connection', '/app/x'],
    ['a body', '/app/x', body => $body],
    ['a body of unknown length', '/app/x', body => $body, chunked => 1],
    ['a large response', '/new/large', fresh => 1],
    ['a large head and STDERR', '/new/err', fresh => 1],
    ['streamed both ways', '/direct/large', body => $body, fresh => 1],
    ['a new shared connection', '/shared-new/x', fresh => 1],
    ['a kept shared connection', '/shared/x'],
    ['a shared one, a body', '/shared/x', body => $body],
    ['a shared one, a response', '/shared-new/medium', fresh => 1],
    ['a shared one, a large head and STDERR', '/shared-new/err', fresh => 1],
    ['an application that is not there', '/none/x'],
    ['the status page', '/status'],
);

sub one {
    my ($host, $path, %how) = @_;
    return $host->request($how{body} ? 'POST' : 'GET', $path, %how,
        seconds => 20);
}

sub no_active {
    my ($host) = @_;
    my $text;
    wait_until(5, sub {
        my @rows = values %{ $host->status };
        $text = join ' ', map { my $row = $_;
            map { "$row->{address} $_=$row->{$_}" }
                grep { $row->{$_} } qw(active waiting) } @rows;
        return $text eq '';
    });
    return $text;
}

sub try_all {
    my ($host, $failing, $app, $name, $path, %how) = @_;
    my (@faults, %seen);
    my ($n, $more) = (0, 1);
    while ($more && ++$n < MOST && !@faults) {
        # Idle ones go within this time.
        $app->wait_idle if delete local $how{fresh};
        $failing->alloc($n);
        my $r = one($host, $path, %how);
        $more = $failing->allocs;
        $failing->alloc(0);
        my $how = $r->{complete} ? $r->{status} : 'cut';
        $seen{$how}++ if $more;
        push @faults, "$n: $how" if $how !~ /^(?:200|404|50[0234]|cut)$/
            || ($r->{error} // '') eq 'timeout';
        next if $path eq '/none/x';
        $r = one($host, $path, %how);
        push @faults, "$n: the next one: $r->{status} " . ($r->{error} // '')
            if $r->{status} != 200 || !$r->{complete};
    }
    is(join(', ', @faults), '', "$name: " . ($n - 1) . ' allocations: '
        . join ' ', map { "$_: $seen{$_}" } sort keys %seen);
    cmp_ok($n, '<', MOST, "$name: all of them");
    is(no_active($host), '', "$name: no slot is left");
}

FCNG::Hosts->each(log_level => 'info', threads => 8, sub {
    my ($host) = @_;
    my $app = app();
    # httpd ends a child that has no memory for its pools: nothing to survive.
    my $failing = FCNG::Failing->new($host, $host->is_apache
        ? (module => 'mod_fastcgi_ng') : ());
    my %pool = (idle_timeout => '50ms');
    my %new = (idle_timeout => '10ms');
    $host->location('/new/', app => $app, pool => { %new });
    $host->location('/shared-new/', app => $app,
        pool => { %new, multiplex => 'on' });
    $host->location('/app/', app => $app, pool => { %pool });
    $host->location('/direct/', app => $app, pool => { %new },
        options => { request_buffering => 'off', buffering => 'off' });
    $host->location('/shared/', app => $app,
        pool => { %pool, multiplex => 'on' });
    $host->location('/none/', address => '127.0.0.1:' . free_port());
    $host->status_at('/status');
    # nginx tells of each allocation of its own that fails.
    $host->expect(qr/alloc\(.*\) failed/, qr/posix_memalign\(.*\) failed/,
        qr/Cannot allocate memory/);
    $host->start;
    my @before = $host->workers;
    try_all($host, $failing, $app, @$_) for @cases;
    my $said = () = $host->log =~ /no memory|Cannot allocate/g;
    cmp_ok($said, '>', 0, "the log tells it ($said lines)");
    is(join(' ', $host->workers), "@before", 'no process has ended');
    $host->baseline;
});
