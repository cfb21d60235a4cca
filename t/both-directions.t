# SPDX-License-Identifier: BSD-2-Clause
#
# An application that answers while the body is still coming: 2 MiB and
# 64 MiB go both ways at once.  What reads all before it writes, or writes
# all before it reads, stands still here.  ALL=1: each size in each way.
use strict;
use warnings;
use Digest::SHA ();
use FCNG::App;
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(random_bytes);
use Test::More;

my $block = random_bytes(65_536 * 2);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my %app = (scripted => FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        $r->out("Content-Type: application/octet-stream\r\n\r\n");
        while (defined(my $piece = $r->read_stdin)) {
            $r->out($piece) or return;
        }
        $r->end;
    }));
    for my $name (qw(libfcgi go)) {
        my $missing = FCNG::Programs->missing($name);
        if ($missing) {
            SKIP: { skip $missing, 1 }
            next;
        }
        $app{$name} = FCNG::Programs->$name;
    }
    for my $name (sort keys %app) {
        $host->location("/$name/", app => $app{$name}, options =>
            { buffering => 'off', request_buffering => 'off' });
        $host->location("/kept-$name/", app => $app{$name});
    }
    $host->start;

    my $check = sub {
        my ($path, $mib, %how) = @_;
        my $what = "$mib MiB through $path" . ($how{chunked} ? ', chunked'
            : '');
        my ($sent, $got) = map { Digest::SHA->new(256) } 1 .. 2;
        my $left = $mib * 8;
        my $source = sub {
            return if !$left--;
            $sent->add($block);
            return $block;
        };
        my $r = $host->request('POST', $path, body => $source, seconds => 60,
            $how{chunked} ? (chunked => 1) : (length => $mib << 20),
            sink => sub { $got->add($_[0]) });
        is($r->{status}, 200, "$what: status");
        is($r->{size}, $mib << 20, "$what: size");
        ok($r->{complete}, "P7: $what: complete");
        is($got->hexdigest, $sent->hexdigest, "$what: SHA-256");
    };
    for my $name (sort keys %app) {
        $check->("/$name/", 2);
        $check->("/kept-$name/", 2);
        $check->("/$name/", 64);
        next if !$ENV{ALL};
        $check->("/kept-$name/", 64);
        $check->($_, 64, chunked => 1) for "/$name/", "/kept-$name/";
    }
    $check->('/scripted/', 2, chunked => 1);
    $check->('/kept-scripted/', 64, chunked => 1);
});
