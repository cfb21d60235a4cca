# SPDX-License-Identifier: BSD-2-Clause
#
# Memory and space run out while a response is filtered: that request fails,
# or the original goes out where it may; nothing crashes, hangs or is left.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Failing;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use Test::More;

use constant MOST => 400;   # allocations of one request

my $missing = FCNG::Failing->missing;
plan skip_all => $missing if $missing;

my $large = random_bytes(300_000);
my $html = "Content-Type: text/html\r\n";

sub filter {
    my ($r) = @_;
    $r->body;
    my $data = $r->data;
    return if $r->{gone};
    return $r->die_now if ($r->env('QUERY_STRING') // '') =~ /dies/;
    return $r->answer("${html}ETag: \"f\"\r\n\r\n" . uc $data);
}

# Each allocation fails, one after the other.
sub try_all {
    my ($host, $failing, $path, $want, %how) = @_;
    my (@faults, %seen);
    my ($n, $more) = (0, 1);
    while ($more && ++$n < MOST && !@faults) {
        $failing->alloc($n);
        my $r = $host->get($path, %how, seconds => 20);
        $more = $failing->allocs;
        $failing->alloc(0);
        my $how = $r->{complete} ? $r->{status} : 'cut';
        $seen{$how}++ if $more;
        push @faults, "$n: $how" if $how !~ /^(?:200|50[0234]|cut)$/
            || ($r->{error} // '') eq 'timeout';
        # A part of a page may be its error, as ever.
        push @faults, "$n: half of it: " . substr $r->{body}, 0, 300
            if $how eq '200' && lc $r->{body} ne lc $want
                && ($path !~ /ssi/ || $r->{body} !~ /^\(.*\)$/s);
        $r = $host->get($path, %how, seconds => 20);
        push @faults, "$n: the next one: $r->{status}"
            if $r->{status} != 200 || $r->{body} ne $want;
    }
    is(join(', ', @faults), '', "$path: " . ($n - 1) . ' allocations: '
        . join ' ', map { "$_: $seen{$_}" } sort keys %seen);
    cmp_ok($n, '<', MOST, "$path: all of them");
}

FCNG::Hosts->each(only => 'nginx', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(quiet => 1, request => \&filter);
    my $origin = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        $r->body;
        return $r->answer($html . "Set-Cookie: a=b\r\n\r\n"
            . (($r->env('PATH_INFO') // '') =~ /ssi/
                ? '(<!--#include virtual="/f/a.html" -->)' : $large));
    });
    $host->file("$_/a.html", 'a page') for qw(f p);
    $host->file("$_/large.html", $large) for qw(f p);
    my $failing = FCNG::Failing->new($host);
    my %pool = (idle_timeout => '50ms');
    $host->main(nginx => 'types { text/html html; }');
    $host->output_filter('/f/', app => $app, pool => { %pool });
    $host->output_filter('/o/', app => $app, original => $origin,
        pool => { %pool }, nginx => "ssi on;\n");
    $host->output_filter('/p/', app => $app, pool => { %pool },
        options => { output_filter_on_error => 'pass' },
        nginx => "gzip on;\n");
    $host->expect(qr/alloc\(.*\) failed/, qr/posix_memalign\(.*\) failed/,
        qr/Cannot allocate memory/, qr/FCNG\d+|\[crit\].*No space left/);
    $host->start;
    my @before = $host->workers;

    try_all($host, $failing, '/f/a.html', 'A PAGE');
    try_all($host, $failing, '/o/x', uc $large);
    try_all($host, $failing, '/o/ssi', '(A PAGE)');
    try_all($host, $failing, '/p/large.html?dies', $large);
    is(join(' ', $host->workers), "@before", 'no process has ended');

    $failing->space(0);
    my $r = $host->get('/f/large.html');
    is($r->{status}, 500, 'no space to hold a response');
    unlike($r->{body}, qr/\Q@{[substr $large, 0, 20]}\E/, 'nothing of it');
    $r = $host->get('/p/large.html');
    is(sha256_hex($r->{body}), sha256_hex($large), 'or it passes');
    is($host->get('/f/a.html')->{body}, 'A PAGE', 'a small one needs none');
    cmp_ok($failing->writes, '>', 0, 'there was no space');
    $failing->space(1);
    is(sha256_hex($host->get('/f/large.html')->{body}),
        sha256_hex(uc $large), 'there is again');
    $host->baseline;
});
