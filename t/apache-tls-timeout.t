# SPDX-License-Identifier: BSD-2-Clause
#
# FastCgiNgRequestTimeout ends a request whose client does not read, through
# TLS as well.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(find_tool free_port run_bounded spawn);
use Test::More;
use Time::HiRes qw(time);

FCNG::Hosts->each(only => 'apache', load => [qw(socache_shmcb ssl)], sub {
    my ($host) = @_;
    my $openssl = find_tool('openssl') or die "openssl missing\n";
    my $curl = find_tool('curl') or die "curl missing\n";
    my $app = FCNG::App->new(request => sub { $_[0]->flood });
    my ($key, $cert) = map { $host->dir . "/tmp/$_" } qw(key cert);
    my ($rc, undef, $said) = run_bounded(30, $openssl, qw(req -x509 -newkey
        rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout), $key, '-out',
        $cert);
    is($rc, 0, 'a certificate') or diag $said;
    my $port = free_port();
    $host->main(apache => "Listen 127.0.0.1:$port");
    $host->location('/app/', app => $app, options =>
        { request_timeout => '1s', read_timeout => '20s' });
    $host->server(apache => "<VirtualHost 127.0.0.1:$port>\nSSLEngine on\n"
        . "SSLCertificateFile $cert\nSSLCertificateKeyFile $key\n"
        . "</VirtualHost>");
    $host->start;

    my $from = time;
    my $pid = spawn({ log => $host->dir . '/tmp/curl' }, $curl, qw(-q -skN
        --noproxy * --limit-rate 100 -o /dev/null),
        "https://127.0.0.1:$port/app/flood");
    ok($app->wait_event('gone', seconds => 5), 'the application is told');
    my $took = time - $from;
    ok($took > 0.9 && $took < 3, 'in time') or diag "$took s";
    like($host->wait_log(qr/FCNG003/) // '', qr/has taken 1\d\d\d ms/,
        'the log says it');
    FCNG::Util::end_child($pid, 'KILL');
});
