# SPDX-License-Identifier: BSD-2-Clause
#
# php-fpm, by a Unix socket and by TCP, with nothing configured but the
# address: scripts, paths behind them, forms, uploads, output as it is
# flushed, errors in the log.
use strict;
use warnings;
use FCNG::HTTP qw(curl);
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(random_bytes spew);
use Digest::SHA qw(sha256_hex);
use Test::More;
use Time::HiRes qw(time);

my $missing = FCNG::Programs->missing('php_fpm');
plan skip_all => $missing if $missing;

my %script = (
    'env.php' => '<?php header("Content-Type: text/plain");'
        . ' foreach ($_SERVER as $k => $v)'
        . ' if (is_string($v)) echo "$k=$v\n";',
    'post.php' => '<?php echo hash("sha256",'
        . ' file_get_contents("php://input")), " ", $_SERVER'
        . '["CONTENT_LENGTH"] ?? "none";',
    'temp.php' => '<?php echo sys_get_temp_dir();',
    'form.php' => '<?php echo $_POST["a"], "+", $_POST["b"];',
    'upload.php' => '<?php echo hash_file("sha256",'
        . ' $_FILES["f"]["tmp_name"]), " ", $_FILES["f"]["name"];',
    'cookie.php' => '<?php setcookie("a", "1"); setcookie("b", "2");'
        . ' http_response_code(418); echo $_COOKIE["c"];',
    'flush.php' => '<?php header("Content-Type: text/plain");'
        . ' header("X-Accel-Buffering: no");'
        . ' for ($i = 0; $i < 3; $i++) { echo "$i\n"; flush();'
        . ' usleep(150000); }',
    'error.php' => '<?php error_log("a line for the log"); echo "done";',
    'fatal.php' => '<?php nosuchfunction();',
    'large.php' => '<?php header("Content-Type: text/plain");'
        . ' for ($i = 0; $i < 160; $i++) echo str_repeat("x", 65536);',
    'exit.php' => '<?php header("Location: /env.php?from=exit"); exit(3);',
    'finish.php' => '<?php echo "fast"; fastcgi_finish_request();'
        . ' header("X-Late: 1"); echo "LATE";',
);

FCNG::Hosts->each(sub {
    my ($host) = @_;
    my $root = $host->docroot;
    $host->file($_, $script{$_}) for keys %script;
    $host->file('front.php', '<?php echo $_SERVER["PATH_INFO"] ?? "-", " ",'
        . ' $_SERVER["SCRIPT_FILENAME"];');
    my %php = map { $_ => FCNG::Programs->php_fpm(listen => $_) }
        qw(unix tcp);
    $host->location('/tcp/', app => $php{tcp}, script => "$root/front.php");
    $host->files('.php', app => $php{unix});
    $host->start;

    my %env = $host->get('/env.php/info/x?a=b')->{body} =~ /^(\w+)=(.*)$/mg;
    is($env{SCRIPT_FILENAME}, "$root/env.php", 'SCRIPT_FILENAME');
    is($env{SCRIPT_NAME}, '/env.php', 'SCRIPT_NAME');
    is($env{PATH_INFO}, '/info/x', 'PATH_INFO');
    is($env{PHP_SELF}, '/env.php/info/x', 'PHP_SELF');
    is($env{QUERY_STRING}, 'a=b', 'QUERY_STRING');
    is($env{REQUEST_URI}, '/env.php/info/x?a=b', 'REQUEST_URI');
    is($env{DOCUMENT_ROOT}, $root, 'DOCUMENT_ROOT');

    my $body = random_bytes(3_000_000);
    my $sum = sha256_hex($body);
    is($host->post('/post.php', $body)->{body}, "$sum 3000000", 'a body');
    is($host->post('/post.php', $body, chunked => 1)->{body},
        "$sum 3000000", 'a chunked body has its length');
    is($host->get('/temp.php')->{body}, "$php{unix}{dir}/tmp",
        'temporary files in the folder of the test');
    is($host->post('/form.php', 'a=1&b=%C3%A4', headers =>
        ['Content-Type' => 'application/x-www-form-urlencoded'])->{body},
        "1+\xc3\xa4", 'a form');
    my $file = spew($host->dir . '/tmp/some file.bin', $body);
    is(curl('-F', "f=\@$file", $host->url('/upload.php'))->{out},
        "$sum some file.bin", 'an upload');

    my $r = $host->get('/cookie.php', headers => [Cookie => 'c=crumb']);
    is($r->{status}, 418, 'a status');
    is($r->{body}, 'crumb', 'a cookie in');
    is(join('|', $r->header('Set-Cookie')), 'a=1|b=2', 'two out');

    my $client = $host->client;
    my $start = time;
    $r = $client->request_on('GET', '/flush.php', part => 1);
    my $first = time - $start;
    $client->rest;
    is($r->{body}, "0\n1\n2\n", 'flushed output');
    cmp_ok(time - $start - $first, '>', 0.25, 'comes as it is flushed');
    $client->close;

    $r = $host->get('/error.php');
    is($r->{body}, 'done', 'a script that complains');
    like($host->wait_log(qr/FCNG011/), qr/a line for the log/,
        'into the log');
    $r = $host->get('/fatal.php');
    is($r->{status}, 500, 'a fatal error');
    like($host->wait_log(qr/nosuchfunction/), qr/FCNG011/, 'in the log');

    $r = $host->get('/large.php');
    is($r->{size}, 160 * 65_536, '10 MiB');
    $r = $host->get('/exit.php');
    is($r->{status}, 302, 'a redirect');
    like($r->header('Location'), qr{/env\.php\?from=exit$}, 'and where to');
    for (1 .. 5) {
        $r = $host->get('/finish.php');
        is($r->{body}, 'fast', 'fastcgi_finish_request');
        is($r->header('X-Late'), undef, 'with nothing of what follows');
    }

    $host->mark_log;
    $r = $host->get('/nosuch.php');
    is($r->{status}, 404, 'no such script');
    is($host->get('/nosuch.php/x')->{status}, 404, 'nor with a path');

    $r = $host->get('/tcp/some/path');
    like($r->{body}, qr{ \Q$root\E/front\.php$}, 'a front controller by TCP');
    is(curl('-X', 'OPTIONS', '-w', '%{http_code}', '-o', '/dev/null',
        $host->url('/tcp/x'))->{out}, 200, 'another method');

    # Ten times as many clients as workers: all are served, in turn.
    my @clients = map { $host->client } 1 .. 40;
    $_->send(FCNG::HTTP::head('GET', '/env.php', close => 1)) for @clients;
    my $ok = 0;
    $ok += $_->response(seconds => 20)->{status} == 200 for @clients;
    is($ok, 40, 'forty clients, four workers');
    $_->close for @clients;
});
