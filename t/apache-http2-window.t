# SPDX-License-Identifier: BSD-2-Clause
#
# FastCgiNgRequestTimeout and a client of HTTP/2 that opens no window: mod_http2
# waits for that, Timeout long, and then the request ends as one that took too
# long.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use Test::More;
use Time::HiRes qw(time);

sub frame {
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $stream) . $payload;
}

# GET by fields of the static table and literals (RFC 7541 section 6.2.2).
sub get {
    my ($path) = @_;
    return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame(4, 0, 0, '')
        . frame(1, 5, 1, "\x82\x86" . "\x04" . pack('C/a*', $path)
            . "\x01" . pack('C/a*', 'localhost'));
}

FCNG::Hosts->each(only => 'apache', http2 => 1, timeout => 2, sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub { $_[0]->flood });
    $host->location('/app/', app => $app, options =>
        { request_timeout => '1s', read_timeout => '20s' });
    $host->start;
    my $from = time;
    my $client = $host->client;
    $client->send(get('/app/flood'));
    ok($app->wait_event('gone', seconds => 8), 'the application is told');
    my $took = time - $from;
    ok($took > 0.9 && $took < 6, 'after its time and Timeout')
        or diag "$took s";
    like($host->wait_log(qr/FCNG003/) // '',
        qr/the request has taken \d\d\d\d ms.*the client took no more/,
        'the log says it') or diag $host->new_log;
    $client->close;
    is($host->get('/index.html')->{status}, 200, 'others are served');
});
