# SPDX-License-Identifier: BSD-2-Clause
#
# The folder for temporary files is full: a request that needs one fails with a
# line that names the cause, all others are served, and when there is space
# again, so is that one.
use strict;
use warnings;
use FCNG::App;
use FCNG::Failing;
use FCNG::HTTP ();
use FCNG::Hosts;
use FCNG::Util qw(random_bytes wait_until);
use Test::More;

my $missing = FCNG::Failing->missing;
plan skip_all => $missing if $missing;

my $body = random_bytes(3 << 20);
my $large = random_bytes(24 << 20);
my ($app, $failing);

# A body that has to be kept: its length is not known, or it is not read while
# the response fills all buffers, or nginx reads it whole.
sub kept_body {
    my ($host) = @_;
    return $host->post('/app/count', $body, chunked => 1, seconds => 20);
}

# A response that the client does not read until all of it has been sent, or
# there was no space for it.
sub kept_response {
    my ($host, $path) = @_;
    $app->forget;
    my $client = $host->client;
    $client->send(FCNG::HTTP::head('GET', $path // '/app/large', close => 1));
    select undef, undef, undef, 0.2;
    wait_until(5, sub { $failing->writes > 0
        || (() = $app->events('sent')) > 0 });
    my $r = $client->response(seconds => 20);
    $client->close;
    return $r;
}

# The same on a connection that requests share: a path that is new each time,
# for nobody knows that its response is large.
my $folder = 0;
sub shared_response {
    my ($host, $what) = @_;
    return kept_response($host, '/shared/app/' . ++$folder . '/'
        . ($what // 'large'));
}

# And one that the application does not want to be kept.
sub direct_response { shared_response($_[0], 'direct') }

# Large bodies both ways, to a client that reads when it has sent all.
sub both_ways {
    my ($host) = @_;
    my $client = $host->client;
    $client->{out} = FCNG::HTTP::head('POST', '/app/echo',
        length => length $large, close => 1) . $large;
    my $sent = wait_until(10, sub {
        $client->flush;
        return $client->{write_error} || !length $client->{out};
    });
    my $r = $client->response(seconds => 20);
    $client->close;
    return $r;
}

# name => request, its answer with space, and who needs a file for it.
my @cases = (
    ['a body', \&kept_body, length $body, 'both'],
    ['a response', \&kept_response, 8 << 20, 'nginx'],
    ['a shared response', \&shared_response, 8 << 20, 'both'],
    ['a direct one', \&direct_response, 8 << 20, 'nginx'],
    ['both ways', \&both_ways, length $large, 'apache'],
);

FCNG::Hosts->each(log_level => 'info', sub {
    my ($host) = @_;
    $failing = FCNG::Failing->new($host);
    $app = FCNG::App->new(quiet => 1, request => sub {
        my ($r) = @_;
        if ($r->action eq 'echo') {
            $r->out("Content-Type: text/plain\r\n\r\n");
            while (defined(my $piece = $r->read_stdin)) {
                $r->out($piece);
            }
            return $r->end;
        }
        my $size = length $r->body;
        my $action = $r->action;
        my $is_large = $action =~ /^(?:large|direct)$/;
        $r->text($is_large ? 'y' x (8 << 20) : "$size",
            $action eq 'direct' ? ('X-Accel-Buffering' => 'no') : ());
        $r->note('sent') if $is_large;
    });
    $host->location('/app/', app => $app, pool => { idle_timeout => '50ms' });
    $host->location('/shared/app/', app => $app,
        pool => { idle_timeout => '50ms', multiplex => 'on' });
    $host->status_at('/status');
    $host->expect(qr/\[crit\].*failed \(28: No space left on device\)/)
        if $host->is_nginx;
    $host->start;

    for my $case (@cases) {
        my ($name, $ask, $size, $who) = @$case;
        next if $who ne 'both' && $who ne $host->name;
        my $is_whole = sub {
            my ($r) = @_;
            return $r->{status} == 200 && $r->{complete}
                && ($r->{body} eq $size || $r->{size} == $size);
        };
        ok($is_whole->($ask->($host)), "$name: with space");
        $host->mark_log;
        $failing->space(0);
        my $r = $ask->($host);
        cmp_ok($failing->writes, '>', 0, "$name: without space");
        ok(!$is_whole->($r), "$name: fails");
        ok(!$r->{complete} || $r->{status} =~ /^50[0237]$/,
            "$name: for the client to see")
            or diag("status $r->{status}, $r->{size} bytes");
        isnt($r->{error} // '', 'timeout', "$name: at once");
        my $line = $host->wait_log(qr/No space left on device/) // '';
        like($line, qr/No space left on device/, "$name: the log says why");
        like($line, qr{/app/|client [\d.:]+\]}, "$name: and for whom");
        is($host->get('/app/x')->{body}, 0, "$name: others are served");
        is($host->post('/app/x', 'small')->{body}, 5, "$name: with a body");
        $failing->space(1);
        ok($is_whole->($ask->($host)), "$name: with space again");
    }
    my $left;
    wait_until(5, sub {
        my ($row) = values %{ $host->status };
        $left = join ' ', map { "$_=$row->{$_}" }
            grep { $row->{$_} } qw(active waiting connections);
        return $left eq '';
    });
    is($left, '', 'no slot is left');
});
