# SPDX-License-Identifier: BSD-2-Clause
#
# Responses from nothing to 256 MiB come out as they went in, in records of
# every size, with padding, with and without Content-Length.
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(random_bytes);
use FCNG::Wire qw(record end_request);
use Test::More;

my $block = random_bytes(131_072);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my %q = ($r->env('QUERY_STRING') // '') =~ /(\w+)=(\w+)/g;
        my $length = $q{length} ? "Content-Length: $q{size}\r\n" : '';
        $r->out("Content-Type: application/octet-stream\r\n$length\r\n");
        my $unit = $q{record} || 65_535;
        for (my $at = 0; $at < $q{size}; $at += 131_072) {
            my $part = $at + 131_072 <= $q{size} ? $block
                : substr $block, 0, $q{size} - $at;
            my $bytes = '';
            for (my $i = 0; $i < length $part; $i += $unit) {
                $bytes .= record(FCNG::Wire::T_STDOUT, $r->{id},
                    substr($part, $i, $unit), padding => $q{padding} // 0);
            }
            $r->send($bytes) or return;
        }
        $r->end;
    });
    $host->location('/app/', app => $app);
    $host->location('/direct/', app => $app,
        options => { buffering => 'off' });
    $host->start;

    my $expect = sub {
        my ($size) = @_;
        my $sha = Digest::SHA->new(256);
        for (my $at = 0; $at < $size; $at += 131_072) {
            $sha->add($at + 131_072 <= $size ? $block
                : substr $block, 0, $size - $at);
        }
        return $sha->hexdigest;
    };
    my $check = sub {
        my ($path, $query, $size, $digest) = @_;
        my $sha = Digest::SHA->new(256);
        my $r = $host->get("$path?size=$size$query", seconds => 120,
            sink => sub { $sha->add($_[0]) });
        is($r->{size}, $size, "$path$query: $size bytes");
        ok($r->{complete}, 'complete');
        is($sha->hexdigest, $digest, 'each right');
        is($r->header('Content-Length'), $size, 'Content-Length is kept')
            if $query =~ /length/;
    };

    for my $size (0, 1, 8191, 65_535, 65_536, 1_000_000) {
        my $digest = $expect->($size);
        for my $path ('/app/', '/direct/') {
            $check->($path, '', $size, $digest);
            $check->($path, '&length=1', $size, $digest);
        }
    }
    my $digest = $expect->(300_000);
    $check->('/app/', "&record=$_&padding=$_", 300_000, $digest)
        for 7, 255;
    $check->('/app/', '&record=8192&padding=7', 300_000, $digest);
    $check->('/app/', '&record=65535&padding=255', 300_000, $digest);

    my $large = $expect->(256 << 20);
    $check->('/app/', '', 256 << 20, $large);
    $check->('/direct/', '&length=1', 256 << 20, $large);
});
