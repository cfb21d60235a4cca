# SPDX-License-Identifier: BSD-2-Clause
#
# What a request tells the access log: how long it waited, connected and was
# answered, on which connection, how it ended.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(wait_until slurp free_port);
use Test::More;

my @words = qw(pool queue_time connect_time first_byte_time app_status reused
    stream_id);

# The words of the request with this query, as a hash; '-' where there is
# nothing to tell.
sub words {
    my ($host, $query) = @_;
    my $line;
    wait_until(3, sub {
        ($line) = grep { /^q=\?$query / }
            split /\n/, slurp($host->dir . '/logs/words.log');
        return defined $line;
    }) or diag("no line for $query");
    return { map { /^(\w+)=(.*)$/ ? ($1, $2) : () } split / /, $line // '' };
}

# Seconds with three digits, between two bounds.
sub took {
    my ($words, $name, $least, $most, $what) = @_;
    my $time = $words->{$name} // '';
    like($time, qr/^\d+\.\d{3}$/, "$what: $name");
    cmp_ok($time, '>=', $least, 'is not too small');
    cmp_ok($time, '<', $most, 'nor too large');
}

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        select undef, undef, undef, 0.4 if $r->action eq 'slow';
        $r->note('holding'), select undef, undef, undef, 0.5
            if $r->action eq 'hold';
        $r->out("Content-Type: text/plain\n\nok");
        $r->end($r->action eq 'status' ? 938 : 0);
    });
    my $log = $host->dir . '/logs/words.log';
    $host->main(nginx => 'log_format words "q=?$args '
        . join(' ', map { "$_=\$fastcgi_ng_$_" } @words) . '";');
    $host->server(nginx => "access_log $log words;",
        apache => 'LogFormat "q=%q '
        . join(' ', map { "$_=%{fastcgi_ng_$_}n" } @words)
        . "\" words\nCustomLog $log words");
    my $nobody = free_port();
    $host->location('/app/', app => $app, pool => { max_connections => 1,
        idle_timeout => '4s' });
    $host->location('/nobody/', address => "127.0.0.1:$nobody");
    $host->start;

    is($host->get('/app/status?first')->{status}, 200, 'a new connection');
    my $new = words($host, 'first');
    is($new->{reused}, 0, 'is not reused');
    is($new->{app_status}, 938, 'appStatus');
    is($new->{pool}, $host->is_apache ? 'pool1' : $app->address, 'pool');
    like($new->{stream_id}, qr/^[1-9]\d*$/, 'a request id');
    took($new, 'connect_time', 0, 0.3, 'new');
    is($new->{queue_time}, '0.000', 'it did not wait');

    is($host->get('/app/slow?second')->{status}, 200, 'a kept connection');
    my $kept = words($host, 'second');
    is($kept->{reused}, 1, 'is reused');
    is($kept->{app_status}, 0, 'appStatus 0');
    is($kept->{connect_time}, '0.000', 'nothing to connect');
    took($kept, 'first_byte_time', 0.35, 1.5, 'a slow answer');

    my $holder = $host->client;
    $holder->send(FCNG::HTTP::head('GET', '/app/hold?holder'));
    ok($app->wait_event('holding'), 'one is served');
    is($host->get('/app/x?waiter')->{status}, 200, 'another waits');
    is($holder->response(seconds => 5)->{status}, 200, 'for the first');
    $holder->close;
    took(words($host, 'holder'), 'queue_time', 0, 0.1, 'the first');
    my $waiter = words($host, 'waiter');
    took($waiter, 'queue_time', 0.2, 1.5, 'the other');
    # Neither waiting nor connecting is the application's time.
    took($waiter, 'first_byte_time', 0, 0.3, 'the other');
    took($waiter, 'connect_time', 0, 0.1, 'the other');

    $host->get('/nobody/?gone');
    my $gone = words($host, 'gone');
    is($gone->{$_}, '-', "nobody listens: no $_")
        for qw(app_status first_byte_time stream_id);
    is($gone->{queue_time}, '0.000', 'nor a wait');
});
