# SPDX-License-Identifier: BSD-2-Clause
#
# Real applications as authorizers: on libfcgi, on FCGI.pm, PHP-FPM.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Programs;
use Test::More;

FCNG::Hosts->each(needs => 'protect', sub {
    my ($host) = @_;
    my $app = FCNG::App->new(request => sub {
        my ($r) = @_;
        $r->text(length($r->body) . ' by ' . ($r->env('REMOTE_USER') // '-'));
    });
    my $script = $host->file('auth.php', <<'END');
<?php
if (($_SERVER['FCGI_ROLE'] ?? '') !== 'AUTHORIZER') {
    http_response_code(500);
    exit('not my role');
}
if (preg_match('/^key=([a-z]+)/', $_SERVER['HTTP_COOKIE'] ?? '', $name)) {
    header("Variable-REMOTE_USER: $name[1]");
    exit;
}
http_response_code(403);
header('Content-Type: text/html');
echo "<p>No key: you may not see $_SERVER[REQUEST_URI].</p>\n";
END
    my (%program, %missing);
    for my $name (qw(auth auth_perl php_fpm)) {
        $missing{$name} = FCNG::Programs->missing($name);
        next if $missing{$name};
        $program{$name} = FCNG::Programs->$name;
        my @php = $name ne 'php_fpm' ? () : (nginx =>
            "fastcgi_ng_authorizer_param SCRIPT_FILENAME $script;\n",
            apache => "FastCgiNgAuthorizerParam SCRIPT_FILENAME $script\n");
        $host->file("$name/file", 'the file');
        $host->protect("/$name/", app => $program{$name}, @php);
        $host->location("/app/$name/", app => $app,
            protect => $program{$name}, @php);
    }
    $host->start;
    for my $name (sort keys %missing) {
        SKIP: {
            skip $missing{$name}, 1 if $missing{$name};
            my @key = (headers => [Cookie => 'key=ann']);
            for my $n (1 .. 5) {
                my $r = $host->get("/$name/file", @key);
                is("$r->{status} $r->{body}", '200 the file',
                    "$name: granted, $n");
                $r = $host->get("/$name/file?$n");
                is("$r->{status} $r->{body}", '403 <p>No key: you may not '
                    . "see /$name/file?$n.</p>\n", "$name: denied, $n");
            }
            my $r = $host->get("/$name/file");
            like($r->header('Content-Type'), qr{^text/html}, 'its type');
            $r = $host->post("/app/$name/x", 'x' x 100_000, @key);
            is($r->{body}, '100000 by ann', "$name: a POST by whom");
            $r = $host->post("/app/$name/x", 'x' x 100_000);
            is($r->{status}, 403, "$name: one that is denied");
            $r = $host->request('HEAD', "/$name/file");
            is("$r->{status}:$r->{body}", '403:', "$name: HEAD");
        }
    }
    unlike($host->log, qr/FCNG0/, 'nothing is told');
});
