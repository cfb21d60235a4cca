# SPDX-License-Identifier: BSD-2-Clause
#
# Apache's output filter when there is no memory, and no space for temporary
# files: that request fails, for its client to see, and the next one is served.
# And what a large response takes of both.
use strict;
use warnings;
use FCNG::App;
use FCNG::Failing;
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(random_bytes);
use Test::More;

use constant MOST => 400;   # allocations of one request

my $missing = FCNG::Failing->missing // FCNG::Programs->missing('upper');
plan skip_all => $missing if $missing;

my $page = random_bytes(3 << 20);

sub filter {
    my ($r) = @_;
    $r->body;
    my $data = $r->data;
    return if $r->{gone};
    return $r->answer('Content-Length: ' . length($data) . "\r\n\r\n"
        . $data);
}

FCNG::Hosts->each(only => 'apache', threads => 8, sub {
    my ($host) = @_;
    my $failing = FCNG::Failing->new($host, module => 'mod_fastcgi_ng');
    my $app = FCNG::App->new(quiet => 1, request => \&filter);
    my $pages = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        $r->body;
        $r->answer("Content-Type: text/html\r\n\r\n"
            . ($r->action eq 'large' ? $page : 'small'));
    });
    my %pool = (idle_timeout => '50ms');
    $host->file('file/a.html', 'small');
    $host->file('file/large.html', $page);
    $host->output_filter('/file/', app => $app, pool => { %pool });
    $host->output_filter('/pages/', app => $app, pool => { %pool },
        apache => "FastCgiNgPass pages\n");
    $host->output_filter('/stream/', app => $app, pool => { %pool },
        options => { output_filter_buffering => 'off' },
        apache => "FastCgiNgPass pages\n");
    $host->output_filter('/pass/', app => $app, pool => { %pool },
        options => { output_filter_on_error => 'pass' },
        apache => "FastCgiNgPass pages\n");
    $host->server(apache => 'FastCgiNgPool pages ' . $pages->address
        . " idle_timeout=50ms\n");
    $host->expect(qr/FCNG\d+:|Cannot allocate memory/);
    $host->start;
    my @before = $host->workers;

    # ---- space
    my @range = (headers => [Range => 'bytes=0-9']);
    for my $case (['/pages/large'], ['/file/large.html', @range]) {
        my ($path, @how) = @$case;
        my $r = $host->get($path, @how);
        is($r->{status}, @how ? 206 : 200, "$path: with space")
            or diag $host->log;
        $host->mark_log;
        $failing->space(0);
        $r = $host->get($path, @how);
        is($r->{status}, 500, "$path: without");
        cmp_ok($failing->writes, '>', 0, 'for that reason');
        ok($host->wait_log(qr/No space left on device.*kept in a/),
            'which is told');
        is($host->get('/pages/x')->{body}, 'small', 'others are served');
        $failing->space(1);
        is($host->get($path, @how)->{status}, @how ? 206 : 200,
            'with space again');
    }

    # ---- memory
    for my $path ('/file/a.html', '/pages/x', '/stream/x', '/pass/x',
            '/stream/large') {
        my (%seen, @faults);
        my $size = $path =~ /large/ ? length $page : 5;
        my ($n, $more) = (0, 1);
        while ($more && ++$n < MOST && !@faults) {
            $_->wait_idle for $app, $pages;
            $failing->alloc($n);
            my $r = $host->get($path, seconds => 20);
            $more = $failing->allocs;
            $failing->alloc(0);
            my $how = $r->{complete} ? $r->{status} : 'cut';
            $seen{$how}++ if $more;
            push @faults, "$n: $how $r->{size}"
                if $how !~ /^(?:200|50[0234]|cut)$/
                || ($r->{error} // '') eq 'timeout'
                || $how eq '200' && $r->{size} != $size;
            $r = $host->get($path, seconds => 20);
            push @faults, "$n: the next one: $r->{status}"
                if $r->{status} != 200 || $r->{size} != $size;
        }
        is(join(', ', @faults), '', "$path: " . ($n - 1) . ' allocations: '
            . join ' ', map { "$_: $seen{$_}" } sort keys %seen);
        cmp_ok($n, '<', MOST, 'all of them');
    }
    is(join(' ', $host->workers), "@before", 'no process has ended');
    $host->baseline;

    # ---- large ones
    $host->another('large ones', sub {
        my ($other) = @_;
        my $upper = FCNG::Programs->upper;
        my $size = 300 << 20;
        my $sender = FCNG::App->new(quiet => 1, request => sub {
            my ($r) = @_;
            $r->body;
            my $left = $r->action eq 'large' ? $size : 3;
            $r->out("Content-Type: text/html\r\n\r\n");
            for (my $n; $left > 0; $left -= $n) {
                $n = $left < 1 << 20 ? $left : 1 << 20;
                $r->out('x' x $n) or return;
            }
            $r->end;
        });
        my $file = $other->file('sparse/a.html', '');
        truncate $file, $size or die "truncate: $!\n";
        $other->file('sparse/small.html', 'abc');
        my @more = (app => $upper, options =>
            { output_filter_max_size => '1g' });
        $other->output_filter('/sparse/', @more);
        $other->output_filter('/pages/', @more,
            apache => "FastCgiNgPass pages\n");
        $other->output_filter('/stream/', app => $upper, options =>
            { output_filter_buffering => 'off' },
            apache => "FastCgiNgPass pages\n");
        $other->server(apache => 'FastCgiNgPool pages ' . $sender->address);
        $other->start;
        for my $path ('sparse/small.html sparse/a.html',
                'pages/small pages/large', 'stream/small stream/large') {
            my ($small, $large) = split / /, $path;
            $other->get("/$small?count") for 1 .. 3;
            my $before = $other->memory('VmHWM');
            my $r = $other->get("/$large?count", seconds => 120);
            is($r->{body}, $size, "$large: 300 MiB");
            my $more = $other->memory('VmHWM') - $before;
            cmp_ok($more, '<', 2048, "cost $more KiB more");
        }
    });
});
