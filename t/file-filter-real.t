# SPDX-License-Identifier: BSD-2-Clause
#
# Files through a real Filter application (libfcgi): several clients of one
# descriptor, a large file in no more memory than a small one (t/slow has one
# of 5 GiB), a file that shrinks while it is sent, a second server.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(random_bytes spew);
use Test::More;

# In the slow set: longer than 32 bits can say.
my $size = ($ENV{LARGE_FILE_MIB} || 256) * 1024 * 1024;

if (my $missing = FCNG::Programs->missing('upper')) {
    plan skip_all => $missing;
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::Programs->upper;
    my $tcp = FCNG::Programs->upper(listen => 'tcp');
    my $dead = FCNG::App->new(request => sub { $_[0]->die_now });
    my $dir = $host->docroot . '/f';
    mkdir $dir;
    my $text = random_bytes(3_000_000, 'text');
    spew("$dir/a.txt", $text);
    spew("$dir/small.txt", 'abc');
    spew("$dir/sparse.bin", '');
    truncate "$dir/sparse.bin", $size or die "truncate: $!\n";
    $host->file_filter('/f/', app => $app);
    $host->file_filter('/t/', app => $tcp,
        nginx => "alias $dir/; open_file_cache max=100;",
        apache_alias => $dir);
    $host->file_filter('/two/', apps => [$dead, $app],
        nginx => "alias $dir/;", apache_alias => $dir);
    $host->expect(qr/FCNG\d+|read only/);
    $host->start;

    my $want = sha256_hex(uc $text);
    for my $path ('/f/a.txt', '/t/a.txt') {
        my $r = $host->get($path);
        is(sha256_hex($r->{body}), $want, "$path: 3 MB in upper case");
    }
    my @clients = map { $host->client } 1 .. 4;
    $_->send(FCNG::HTTP::head('GET', '/t/a.txt', port => $host->port))
        for @clients;
    is(sha256_hex($_->response->{body}), $want, 'four at once of one file')
        for @clients;
    for my $n (1 .. 4) {
        is(sha256_hex($host->get('/two/a.txt')->{body}), $want,
            "another server gets it from its start, $n");
    }

    $host->get('/f/small.txt?count');
    my $before = $host->memory('VmHWM');
    my $r = $host->get('/f/sparse.bin?count', seconds => 120);
    is($r->{body}, $size, "$size bytes");
    my $more = $host->memory('VmHWM') - $before;
    # Sanitizers keep notes on each byte of memory.
    cmp_ok($more, '<', $ENV{FCNG_SAN} ? 8192 : 1024, "cost $more KiB more");

    my $client = $host->client;
    spew("$dir/shrinks.bin", $text x 4);
    $client->send(FCNG::HTTP::head('GET', '/f/shrinks.bin?slow',
        port => $host->port));
    select undef, undef, undef, 0.4;
    truncate "$dir/shrinks.bin", 100;
    $r = $client->response;
    ok(!($r->{status} == 200 && $r->{complete}),
        'a file that shrinks has no clean end') or diag($r->{status});
    is($host->get('/f/small.txt')->{body}, 'ABC', 'and all is well');
    $host->reload if $host->is_nginx; # its cache holds a file open
});
