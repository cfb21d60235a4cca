# SPDX-License-Identifier: BSD-2-Clause
#
# Wrong configurations of Apache: each is refused by "apache2 -t" with one
# line that has the file, the line number, what is wrong and what to write.
# What httpd cannot refuse (SetHandler, .htaccess) is warned of and answered
# with 500.
use strict;
use warnings;
use FCNG::App;
use FCNG::Host::Apache;
use FCNG::Hosts;
use FCNG::Util qw(spew slurp);
use IO::Select ();
use Test::More;

# [what, text with "@" at the start of the wrong line, what the line says]
my @refused = (
    ['a pool without an address', '@FastCgiNgPool php',
        qr/a name and an address, as in FastCgiNgPool php unix:/],
    ['a pool with words only', '@FastCgiNgPool php max_idle=3',
        qr/FastCgiNgPool php: no address: write unix:/],
    ['a name that cannot be one', '@FastCgiNgPool a/b 127.0.0.1:9000',
        qr{"a/b" cannot name a pool: write letters, digits}],
    ['a pool called off', '@FastCgiNgPool off 127.0.0.1:9000',
        qr/"off" cannot name a pool: write .* not "off"/],
    ['a name used twice',
        "FastCgiNgPool php 127.0.0.1:9000\n\@FastCgiNgPool PHP 127.0.0.1:1",
        qr/"php" is defined already, in \S+httpd.conf line \d+/],
    ['an unknown word', '@FastCgiNgPool php 127.0.0.1:9000 max_conns=3',
        qr/max_conns.*max_connections/],
    ['a word that is no number',
        '@FastCgiNgPool php 127.0.0.1:9000 max_connections=many',
        qr/max_connections does not take "many"; write .*as 32, or unlimited/],
    ['a word that is no time',
        '@FastCgiNgPool php 127.0.0.1:9000 idle_timeout=soon',
        qr/idle_timeout does not take "soon"; write .*as 1s or 500ms/],
    ['a word without a value',
        '@FastCgiNgPool php 127.0.0.1:9000 max_queue=',
        qr/max_queue.*as 256/],
    ['a negative number',
        '@FastCgiNgPool php 127.0.0.1:9000 max_idle=-1',
        qr/max_idle does not take "-1"; write .*as 8/],
    ['an unknown way to multiplex',
        '@FastCgiNgPool php 127.0.0.1:9000 multiplex=yes',
        qr/multiplex does not take "yes"; write off, on or auto/],
    ['sharing without keeping',
        '@FastCgiNgPool php 127.0.0.1:9000 max_idle=0 multiplex=auto',
        qr/"multiplex" needs kept connections, remove "max_idle=0"/],
    ['a port alone', '@FastCgiNgPool php 9000',
        qr/"9000" is no address .*a port alone is written :9000/],
    ['a host alone', '@FastCgiNgPool php localhost',
        qr/"localhost" is no address .*localhost:9000/],
    ['a port beyond 65535', '@FastCgiNgPool php localhost:90000',
        qr/"localhost:90000" .*a number from 1 to 65535/],
    ['port 0', '@FastCgiNgPool php localhost:0',
        qr/"localhost:0" .*a number from 1 to 65535/],
    ['IPv6 without brackets', '@FastCgiNgPool php ::1:9000',
        qr/an IPv6 address is written \[::1\]:9000/],
    ['HTTP instead of FastCGI', '@FastCgiNgPool php http://localhost:80/',
        qr{"http://localhost:80/" .*fcgi://localhost:9000/}],
    ['a path behind the port', '@FastCgiNgPool php fcgi://localhost:9000/app',
        qr/no path may follow the port/],
    ['a relative socket', '@FastCgiNgPool php unix:run/app.sock',
        qr{a socket's path begins with "/"}],
    ['a socket without a name', '@FastCgiNgPool php unix:/',
        qr{socket's name is missing, as in unix:/run/app.sock}],
    ['a path that no socket can have',
        '@FastCgiNgPool php unix:/' . 'x' x 120,
        qr/has at most 107 bytes/],
    ['a folder that is none', '@FastCgiNgPool php 127.0.0.1:9000 for=alice',
        qr{for=alice: write the whole path .*for=/home/alice}],
    ['a pool in a location',
        "<Location /x>\n\@FastCgiNgPool php 127.0.0.1:9000\n</Location>",
        qr/stands in the server or <VirtualHost>: define the pool there/],
    ['a pass to nowhere',
        "<Location /x>\n\@FastCgiNgPass php\n</Location>",
        qr/no pool "php" here: define it with FastCgiNgPool php ADDRESS/],
    ['a pass to a pool of another host',
        "<VirtualHost *:1>\nFastCgiNgPool php 127.0.0.1:9000\n</VirtualHost>\n"
            . "<Location /x>\n\@FastCgiNgPass php\n</Location>",
        qr/no pool "php" here: define it with FastCgiNgPool php ADDRESS/],
    ['a pass to an address',
        "<Location /x>\n\@FastCgiNgPass unix:/run/app.sock\n</Location>",
        qr{takes the name of a pool, .* write FastCgiNgPool NAME unix:/run/app}],
    ['a pass in a folder',
        "FastCgiNgPool php 127.0.0.1:9000\n"
            . "<Directory /srv>\n\@FastCgiNgPass php\n</Directory>",
        qr/FastCgiNgPass stands in .*here write SetHandler fastcgi-ng:php/],
    ['a pass without a pool', "<Location /x>\n\@FastCgiNgPass\n</Location>",
        qr/FastCgiNgPass takes one argument, the pool/],
    ['a script that is no whole path', '@FastCgiNgScript index.php',
        qr{the whole path of the file, as in .*"index.php" is not one}],
    ['a parameter without a value', '@FastCgiNgParam NAME',
        qr/FastCgiNgParam NAME takes a value; to remove .* write !NAME/],
    ['a parameter removed with a value', '@FastCgiNgParam !NAME x',
        qr/FastCgiNgParam !NAME takes no value/],
    ['a parameter written as an assignment', '@FastCgiNgParam NAME=x y',
        qr/"NAME=x" is no name: write FastCgiNgParam NAME VALUE/],
    ['a parameter without a name', '@FastCgiNgParam "" y',
        qr{"" is no name: write FastCgiNgParam NAME VALUE}],
    ['a broken expression', '@FastCgiNgParam NAME "%{nosuch:x"',
        qr/FastCgiNgParam NAME: the value "%\{nosuch:x" is no expression/],
    ['a flag that is none', '@FastCgiNgDefaultParams maybe',
        qr/FastCgiNgDefaultParams must be On or Off/],
    ['a check that is none', '@FastCgiNgCheckScript 1',
        qr/FastCgiNgCheckScript must be On or Off/],
    ['a buffering that is none', '@FastCgiNgRequestBuffering 8k',
        qr/FastCgiNgRequestBuffering must be On or Off/],
    ['a head too small', '@FastCgiNgHeaderMaxSize 255',
        qr/"255" is no size: write 256 to 16m, as in 64k/],
    ['a head too large', '@FastCgiNgHeaderMaxSize 1g',
        qr/"1g" is no size: write 256 to 16m/],
    ['a time that is none', '@FastCgiNgReadTimeout never',
        qr/FastCgiNgReadTimeout: "never" is no time: write 30, 30s, 500ms/],
    ['a time of nothing', '@FastCgiNgConnectTimeout 0',
        qr/FastCgiNgConnectTimeout: "0" is no time: write/],
    ['a whole time that is none', '@FastCgiNgRequestTimeout none',
        qr/FastCgiNgRequestTimeout: "none" is no time: write .*, or off/],
    ['an output filter by its address',
        '@FastCgiNgOutputFilter unix:/run/app.sock',
        qr{FastCgiNgOutputFilter takes the name of a pool, which "unix:/run}],
    ['an output filter that nobody knows', '@FastCgiNgOutputFilter nobody',
        qr/FastCgiNgOutputFilter: there is no pool "nobody" here/],
    ['no type', '@FastCgiNgOutputFilterTypes html',
        qr/"html" is no type: write one as text\/html/],
    ['a type with a parameter',
        '@FastCgiNgOutputFilterTypes "text/html; charset=utf-8"',
        qr/is no type: write one as text\/html, without parameters/],
    ['a size of nothing', '@FastCgiNgOutputFilterMaxSize 0',
        qr/"0" is no size: write a number of bytes, as in 64m/],
    ['a size without end', '@FastCgiNgOutputFilterMaxSize 9999999999g',
        qr/"9999999999g" is no size/],
    ['another way to fail', '@FastCgiNgOutputFilterOnError ignore',
        qr/OnError: write pass \(.*\) or fail, not "ignore"/],
    ['a level that is none', '@FastCgiNgStderr loud',
        qr/"loud" is no level: write error, warn/],
    ['a rate that is none', '@FastCgiNgStderr warn rate=9',
        qr{"rate=9" is no rate: write rate=100r/s}],
    ['a word behind the rate', '@FastCgiNgStderr warn rate=9r/s more',
        qr/FastCgiNgStderr takes 1-2 arguments/],
);

my $missing = FCNG::Host::Apache->missing;
$missing //= 'apache is not among the hosts to test'
    if !grep { $_ eq 'apache' } FCNG::Hosts::wanted();
plan skip_all => $missing if $missing;

# Where the line that is marked stands in the file as a whole.
sub wrong_line {
    my ($host, $text) = @_;
    my $before = (split /\@(?=FastCgi)/, $text)[0];
    my $lead = (split /^#MARK$/m, slurp($host->dir . '/httpd.conf'))[0];
    return 1 + ($lead =~ tr/\n//) + 1 + ($before =~ tr/\n//);
}

subtest 'the same file without a mistake' => sub {
    my $host = FCNG::Host::Apache->new;
    $host->server(apache => "FastCgiNgPool php 127.0.0.1:9000\n");
    my ($exit, $said) = $host->test_conf;
    is($exit, 0, 'is taken') or diag($said);
};

for my $case (@refused) {
    my ($what, $text, $says) = @$case;
    my $host = FCNG::Host::Apache->new;
    (my $plain = $text) =~ s/\@(?=FastCgi)//;
    $host->server(apache => "#MARK\n$plain\n");
    my ($exit, $said) = $host->test_conf;
    my $line = wrong_line($host, $text);
    my $file = $host->dir . '/httpd.conf';
    # httpd writes its own sentence with the place, then the module's.
    $said =~ s/(Syntax error on line \d+ of \S+:)\n/$1 /;
    my @lines = grep { /FastCgiNg/ } split /\n/, $said;
    ok($exit != 0 && @lines == 1 && $lines[0] =~ $says
        && $lines[0] =~ /\bline $line of \Q$file\E\b/,
        "refused: $what") or diag("exit $exit, wanted line $line:\n$said");
}

# Only a request connects to an application.
subtest 'apache2 -t connects to nothing' => sub {
    my $app = FCNG::App->new(accept => 0, listen => 'tcp');
    my $host = FCNG::Host::Apache->new;
    $host->server(apache => 'FastCgiNgPool php ' . $app->address . "\n");
    my ($exit, $said) = $host->test_conf;
    is($exit, 0, 'a right configuration') or diag($said);
    ok(!IO::Select->new($app->{socket})->can_read(0.1),
        'nobody has knocked');
};

# Names may be known later: they stop nothing.
subtest 'a host name that does not resolve' => sub {
    my $host = FCNG::Host::Apache->new;
    $host->location('/app', address => 'nosuch.invalid:9000');
    $host->start;
    my $file = $host->dir . '/httpd.conf';
    like($host->console . $host->log, qr{line\ \d+\ of\ \Q$file\E:
        \ FastCgiNgPool\ pool1:\ "nosuch\.invalid:9000"\ does\ not\ resolve
        .*correct\ the\ name}x, 'is warned of at start');
    is($host->get('/app')->{status}, 503, 'a request is answered with 503');
    like($host->wait_log(qr/FCNG016/) // '',
        qr/"nosuch\.invalid" does not resolve: .*; correct the name/,
        'and the log says why');
    is($host->get('/index.html')->{status}, 200, 'others are served');
    $host->finish;
};

subtest 'handlers and .htaccess' => sub {
    my $host = FCNG::Host::Apache->new;
    my $app = FCNG::App->new(request => sub { $_[0]->text('ok') });
    $host->files('.good', app => $app);
    $host->server(apache => <<'CONF');
<FilesMatch "\.x$">
SetHandler fastcgi-ng:nosuch
</FilesMatch>
AddHandler fastcgi-ng:neither .y
CONF
    my ($exit, $said) = $host->test_conf;
    is($exit, 0, 'a handler without a pool does not stop the server');
    my $file = $host->dir . '/httpd.conf';
    like($said, qr{line\ \d+\ of\ \Q$file\E:\ SetHandler\ fastcgi-ng:nosuch:
        \ there\ is\ no\ pool\ "nosuch":\ define\ it\ with\ FastCgiNgPool}x,
        'SetHandler: a warning');
    like($said, qr{line\ \d+\ of\ \Q$file\E:\ AddHandler\ fastcgi-ng:neither:
        \ there\ is\ no\ pool\ "neither":\ define\ it\ with\ FastCgiNgPool}x,
        'AddHandler: a warning');

    $host->file("$_/a.good", '') for qw(good trusted pool pass word);
    $host->file('name/a.txt', '');
    $host->file($_, '') for qw(a.x a.y);
    my $root = $host->docroot;
    my %htaccess = (
        good => 'FastCgiNgParam APP_MODE test',
        trusted => 'FastCgiNgParam SCRIPT_FILENAME /etc/passwd',
        pool => 'FastCgiNgPool mine unix:/run/app.sock',
        pass => 'FastCgiNgPass pool1',
        name => 'SetHandler fastcgi-ng:nosuch',
        word => 'FastCgiNgRequestBuffering perhaps',
    );
    spew("$root/$_/.htaccess", "$htaccess{$_}\n") for keys %htaccess;
    # httpd tells mistakes in .htaccess at this level.
    $host->expect(qr{\[core:alert\] .*/\.htaccess: FastCgiNg});
    $host->start;
    is($host->get('/good/a.good')->{status}, 200, '.htaccess: a parameter');
    is($app->wait_event('request')->{env}{APP_MODE}, 'test', 'is sent');
    for my $case (
            ['/a.x', qr/no pool "nosuch": define it with FastCgiNgPool/],
            ['/a.y', qr/no pool "neither": define it with FastCgiNgPool/],
            ['/name/a.txt', qr/no pool "nosuch": define it with/],
            ['/trusted/a.good', qr{/trusted/\.htaccess:\ .*SCRIPT_FILENAME
                \ cannot\ be\ set\ in\ \.htaccess.*write\ it\ in\ <Dir}x],
            ['/pool/a.good', qr{/pool/\.htaccess: .*FastCgiNgPool}],
            ['/pass/a.good', qr{/pass/\.htaccess:\ .*here\ write\ SetHandler
                \ fastcgi-ng:pool1}x],
            ['/word/a.good', qr{/word/\.htaccess: .*On or Off}]) {
        my ($path, $says) = @$case;
        $host->mark_log;
        is($host->get($path)->{status}, 500, "$path: 500");
        my $line = $host->wait_log($says);
        ok($line, "$path: the log says why") or diag($host->new_log);
    }
    $host->finish;
};

done_testing();
