# SPDX-License-Identifier: BSD-2-Clause
#
# A body that is larger than the server allows is answered with 413, known
# length or not, and the application never takes what it got of it for a whole
# body.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Hosts;
use Test::More;

use constant LIMIT => 200_000;

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        my $size = 0;
        while (defined(my $piece = $r->read_stdin)) {
            $size += length $piece;
        }
        $r->note('body', size => $size, whole => $r->{stdin_ended});
        $r->text($size);
    });
    for my $where (qw(kept stream)) {
        $host->location("/$where/", app => $app,
            nginx => 'client_max_body_size ' . LIMIT . ";\n",
            apache => 'LimitRequestBody ' . LIMIT . "\n",
            options => $where eq 'stream'
                ? { request_buffering => 'off' } : {});
    }
    # What the servers themselves say of it.
    $host->expect(qr/AH01587|AH01588|AH01589/);
    $host->start;

    for my $where (qw(kept stream)) {
        for my $chunked (0, 1) {
            my $what = "$where" . ($chunked ? ', chunked' : '');
            my $path = "/$where/x";
            my $r = $host->post($path, 'x' x LIMIT, chunked => $chunked);
            is("$r->{status} $r->{body}", '200 ' . LIMIT,
                "$what: as much as is allowed");
            $app->forget;
            # One byte more, and far more, with and without waiting for it.
            for my $size (LIMIT + 1, 20 * LIMIT) {
                $r = $host->post($path, 'x' x $size, chunked => $chunked,
                    seconds => 10);
                is($r->{status}, 413, "$what: $size bytes: 413");
            }
            # What was passed on before is known to be cut.
            my @whole = grep { $_->{whole} } $app->events('body');
            is(scalar @whole, 0, "$what: never taken for a whole body")
                or diag(explain(\@whole));
            is($host->post($path, 'small')->{body}, 5,
                "$what: the next one is served");
        }
    }
});
