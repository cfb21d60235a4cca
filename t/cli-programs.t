# SPDX-License-Identifier: BSD-2-Clause
#
# fcng against real applications: php-fpm, libfcgi, net/http/fcgi and
# FCGI::Async, over Unix sockets and TCP.
use strict;
use warnings;
use FCNG::Programs;
use FCNG::Util qw(run_bounded spew slurp tmpdir random_bytes);
use Test::More;

my $fcng = exists $ENV{FCNG_BIN} ? $ENV{FCNG_BIN}
    : FCNG::Util::built(FCNG::Util::out() . '/bin/fcng');
plan skip_all => 'fcng missing' if !$fcng;

my $dir = tmpdir();
my $large = spew("$dir/large", random_bytes(8 << 20));
my $small = spew("$dir/small", random_bytes(256 << 10)); # for slow ones

sub fcng { return run_bounded(60, $fcng, @_) }

# What each says of itself.
my %values = (
    php_fpm => "MAX_CONNS not told\nMAX_REQS not told\nMPXS_CONNS 0\n",
    libfcgi => "MAX_CONNS 1\nMAX_REQS 1\nMPXS_CONNS 0\n",
    go      => "MAX_CONNS not told\nMAX_REQS not told\nMPXS_CONNS 1\n",
    async   => "MAX_CONNS 1024\nMAX_REQS 1024\nMPXS_CONNS 1\n",
);

sub echoes {
    my ($at, $body, @request) = @_;
    my ($rc, $out, $err) = fcng('get', $at, @request, '-H',
        'Content-Type: application/octet-stream', '--data', "\@$body");
    ok($rc == 0 && $out eq slurp($body), 'the body both ways')
        or diag("exit $rc, " . length($out) . " bytes: $err");
    ($rc, $out) = fcng('get', $at, @request, '--data', 'x', '--count', 3);
    is("$rc $out", '0 xxx', 'three requests on a connection');
}

sub check_php {
    my ($at) = @_;
    spew("$dir/echo.php", '<?php header("X-Made: by PHP");
        echo file_get_contents("php://input");');
    spew("$dir/fail.php", '<?php error_log("a line"); http_response_code(418);
        echo $_SERVER["QUERY_STRING"], $_GET["a"];');
    my @root = ('--docroot', $dir);
    echoes($at, $large, '/echo.php', @root);
    my ($rc, $out, $err) = fcng('get', $at, '/fail.php?a=7', @root, '-i');
    is($rc, 0, 'a script');
    like($out, qr/^Status: 418\r\n\r\na=77\z/m, 'its status and answer');
    like($err, qr/^stderr: .*a line$/m, 'its log');
    ($rc, $out, $err) = fcng('get', $at, '/fail.php', @root, '--fail');
    is("$rc $out", '22 ', '--fail');
    ($rc, $out, $err) = fcng('get', $at, '/nosuch.php', @root, '--fail');
    is($rc, 22, 'no such script');
    like($err, qr/stderr: Primary script unknown/, 'php-fpm says why');
}

for my $what (qw(php_fpm libfcgi go async)) {
    for my $listen (qw(unix tcp)) {
        subtest "$what, $listen" => sub {
            my $why = FCNG::Programs->missing($what);
            plan skip_all => $why if $why;
            my $program = FCNG::Programs->$what(listen => $listen,
                children => 3);
            my $at = $program->address;
            my ($rc, $out) = fcng('values', $at);
            is("$rc $out", "0 $values{$what}", 'values');
            $what eq 'php_fpm' ? check_php($at)
                : echoes($at, $what eq 'async' ? $small : $large, '/');
            $program->stop;
        };
    }
}

done_testing();
