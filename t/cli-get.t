# SPDX-License-Identifier: BSD-2-Clause
#
# fcng get and dump against a scripted application: exit codes, what goes to
# which output, heads in pieces, both directions at once.
use strict;
use warnings;
use FCNG::App;
use FCNG::Util qw(run_bounded spew slurp tmpdir random_bytes free_port);
use FCNG::Wire qw(record stream end_request);
use Test::More;
use Time::HiRes qw(time);

my $fcng = exists $ENV{FCNG_BIN} ? $ENV{FCNG_BIN}
    : FCNG::Util::built(FCNG::Util::out() . '/bin/fcng');
plan skip_all => 'fcng missing' if !$fcng;

my $dir = tmpdir();

sub fcng { return run_bounded(90, $fcng, @_) }

sub error_line {
    my ($err, $what, $name) = @_;
    my @lines = split /\n/, $err;
    is(scalar @lines, 1, "$name: one line") or diag($err);
    like($err, $what, "$name: it names the cause");
}

my %act = (
    hello => sub { $_[0]->text('Hello.', 'X-Test' => 'yes') },
    echo  => sub { $_[0]->answer("X: y\n\n" . $_[0]->body) },
    # an answer that begins before the body is read
    mirror => sub {
        my ($r) = @_;
        $r->out("Content-Type: text/plain\n\n");
        while (defined(my $piece = $r->read_stdin)) { $r->out($piece) }
        $r->end;
    },
    missing => sub { $_[0]->text('Nothing.', Status => '404 Not Found') },
    noisy => sub {
        $_[0]->err("first\nsec");
        $_[0]->err("ond \x1b[1m\nlast");
        $_[0]->text('x');
    },
    exit3 => sub { $_[0]->out("A: b\n\nx"); $_[0]->end(3) },
    mute => sub { $_[0]->conn->wait_closed(10) },
    dies => sub { $_[0]->die_now },
    cuts => sub { $_[0]->out("A: b\n\nhalf"); $_[0]->die_now },
    nothing => sub { $_[0]->end },
    headless => sub { $_[0]->answer("no head at all\n\n") },
    short => sub { $_[0]->answer("Content-Length: 10\n\nabc") },
    long => sub { $_[0]->answer("Content-Length: 3\n\nabcdef") },
    overloaded => sub { $_[0]->end(0, 2) },
    role => sub { $_[0]->end(0, 3) },
    pieces => sub {
        my ($r) = @_;
        $r->out($_) for split //, "Status: 201\r\nX-A: b\r\n\r\nbody";
        $r->end;
    },
    slow => sub {
        $_[0]->out("A: b\n\none ");
        Time::HiRes::sleep(0.2);
        $_[0]->out('two');
        $_[0]->end;
    },
    # more than a socket's buffers, without reading a byte of the body
    flood => sub {
        $_[0]->out("A: b\n\n" . 'x' x 4_000_000);
        $_[0]->end;
    },
);

my $app = FCNG::App->new(request => sub { $act{ $_[0]->action }->($_[0]) });
my $at = $app->address;

# ---- what is shown where ----

my ($rc, $out, $err) = fcng('get', $at, '/hello?a=1&b=2');
is("$rc $out", '0 Hello.', 'the body on stdout');
is($err, '', 'nothing on stderr');
my %env = %{ $app->wait_event('request')->{env} };
is($env{REQUEST_METHOD}, 'GET', 'REQUEST_METHOD');
is($env{QUERY_STRING}, 'a=1&b=2', 'QUERY_STRING');
is($env{REQUEST_URI}, '/hello?a=1&b=2', 'REQUEST_URI');
is("$env{SCRIPT_NAME} $env{PATH_INFO}", ' /hello', 'the path is PATH_INFO');
ok(!exists $env{CONTENT_LENGTH}, 'no CONTENT_LENGTH without a body');
ok(!exists $env{SCRIPT_FILENAME}, 'no SCRIPT_FILENAME without a folder');

($rc, $out, $err) = fcng('get', $at, '/pieces', '-i');
is($rc, 0, 'a head that comes byte by byte');
is($out, "X-A: b\r\nStatus: 201\r\n\r\nbody", '-i shows it before the body');

($rc, $out, $err) = fcng('get', $at, '/noisy');
is($err, "stderr: first\nstderr: second \\x1b[1m\nstderr: last\n",
    'STDERR in whole lines, escaped');
is("$rc $out", '0 x', 'and the body elsewhere');

($rc, $out, $err) = fcng('get', $at, '/exit3');
is("$rc $out", '0 x', 'an application status other than 0 is an answer');
error_line($err, qr/status 3/, 'application status');

($rc, $out, $err) = fcng('get', $at, '/slow');
is("$rc $out", '0 one two', 'slow output');

# ---- the request ----

$app->forget;
($rc, $out, $err) = fcng('get', $at, '/hello.php', '--docroot', "$dir/",
    '-P', 'REMOTE_USER=me', '-P', 'SERVER_NAME=first', '-P',
    'SERVER_NAME=other', '-P', 'EMPTY=', '-H', 'X-Thing:  a thing', '-H',
    'Proxy: http://evil', '-H', 'Host: example.org', '--method', 'PUT',
    '--query', 'q');
my $seen = $app->wait_event('request');
my $n = 0;
$n += $_ eq 'SERVER_NAME' for @{ $seen->{list} };
%env = %{ $seen->{env} };
is($env{SCRIPT_FILENAME}, "$dir/hello.php", 'SCRIPT_FILENAME');
is($env{DOCUMENT_ROOT}, $dir, 'DOCUMENT_ROOT');
is($env{SCRIPT_NAME}, '/hello.php', 'SCRIPT_NAME');
is($env{REMOTE_USER}, 'me', '-P adds a parameter');
is("$env{SERVER_NAME} $n", 'other 1', 'the last -P replaces a default');
is($env{EMPTY}, '', 'an empty value is sent');
is($env{HTTP_X_THING}, 'a thing', '-H');
is($env{HTTP_HOST}, 'example.org', 'Host');
ok(!exists $env{HTTP_PROXY}, 'Proxy is not sent');
is("$env{REQUEST_METHOD} $env{QUERY_STRING}", 'PUT q', 'method and query');

$app->forget;
fcng('get', $at, '/hello', '--script', "$dir/front.php");
%env = %{ $app->wait_event('request')->{env} };
is("$env{SCRIPT_FILENAME} $env{PATH_INFO}", "$dir/front.php /hello",
    '--script: a front controller');

$app->forget;
($rc, $out) = fcng('get', $at, '/echo', '--data', 'a=b');
%env = %{ $app->wait_event('request')->{env} };
is("$rc $out", '0 a=b', '--data');
is("$env{REQUEST_METHOD} $env{CONTENT_LENGTH} $env{CONTENT_TYPE}",
    'POST 3 application/x-www-form-urlencoded', 'what describes the body');
($rc, $out) = fcng('get', $at, '/echo', '--data', '');
is("$rc $out", '0 ', 'an empty body');

for my $size (0, 1, 65_535, 65_536, 8 << 20) {
    my $file = spew("$dir/body", random_bytes($size));
    ($rc, $out) = fcng('get', $at, '/mirror', '--data', "\@$file");
    ok($rc == 0 && $out eq slurp($file), "both directions, $size bytes");
}
my $body = slurp("$dir/body");
($rc, $out) = run_bounded(60, '/bin/sh', '-c',
    "'$fcng' get '$at' /mirror --data - <'$dir/body'");
ok($rc == 0 && $out eq $body, '--data -: stdin');

($rc, $out) = fcng('get', $at, '/flood', '--data', "\@$dir/body");
is("$rc " . length $out, '0 4000000',
    'an application that answers without reading the body');

# ---- roles ----

$app->forget;
fcng('get', $at, '/hello', '--role', 'authorizer', '-P', 'PATH_INFO=/hello');
is($app->wait_event('request')->{role}, 2, '--role authorizer');

my $data = '';
my $filter = FCNG::App->new(connection => sub {
    my ($conn) = @_;
    my $r = $conn->next_request;
    my ($in, $data) = ('', '');
    while (my $record = $conn->next_record(5)) {
        last if $record->{type} == 8 && $record->{content} eq '';
        ($record->{type} == 8 ? $data : $in) .= $record->{content};
    }
    $r->answer("A: b\n\n$r->{role} $in $data"
        . ' ' . $r->env('FCGI_DATA_LENGTH'));
});
spew("$dir/data", 'filtered');
($rc, $out) = fcng('get', $filter->address, '/x', '--role', 'filter',
    '--file', "$dir/data", '--data', 'in');
is("$rc $out", '0 3 in filtered 8', '--role filter: STDIN, then DATA');
spew("$dir/data", '');
($rc, $out) = fcng('get', $filter->address, '/x', '--role', 'filter',
    '--file', "$dir/data");
is("$rc $out", '0 3   0', '--role filter: an empty file');

# ---- one kept connection ----

my $five = FCNG::App->new(request => sub { $_[0]->answer("X: y\n\n"
    . $_[0]->body) });
($rc, $out) = fcng('get', $five->address, '/', '--count', 5, '--data',
    "\@" . spew("$dir/five", 'five'));
is("$rc $out", '0 ' . 'five' x 5, '--count');
$five->wait_event('close');
is(join(' ', $five->counts), '1 1', 'on one connection');
is(scalar(() = $five->events('request')), 5, 'five requests');

# ---- exit codes ----

my @wrong = (
    [2, qr/no verb/, 'nosuch', $at, '/'],
    [2, qr/no address/, 'get'],
    [2, qr/path/, 'get', $at],
    [2, qr/path/, 'get', $at, 'hello'],
    [2, qr/more than/, 'get', $at, '/', 'more'],
    [2, qr/address/, 'get', 'nonsense', '/'],
    [2, qr/NAME=VALUE/, 'get', $at, '/', '-P', 'NAME'],
    [2, qr/Name: value/, 'get', $at, '/', '-H', 'Name'],
    [2, qr/responder/, 'get', $at, '/', '--role', 'cook'],
    [2, qr/--file/, 'get', $at, '/', '--role', 'filter'],
    [2, qr/seconds/, 'get', $at, '/', '--timeout', 'x'],
    [2, qr/number/, 'get', $at, '/', '--count', '0'],
    [2, qr/65528/, 'get', $at, '/', '-P', 'BIG=' . 'x' x 70_000],
    [6, qr/name/, 'get', 'nosuch.invalid:9000', '/'],
    [7, qr/no such socket/, 'get', "unix:$dir/nosuch", '/'],
    [7, qr/no socket/, 'get', "unix:$dir/body", '/'],
    [7, qr/nobody listens/, 'get', '127.0.0.1:' . free_port(), '/'],
    [8, qr/head/, 'get', $at, '/nothing'],
    [8, qr/head/, 'get', $at, '/headless'],
    [18, qr/Content-Length/, 'get', $at, '/short'],
    [22, qr/404/, 'get', $at, '/missing', '--fail'],
    [26, qr/nosuch/, 'get', $at, '/', '--data', "\@$dir/nosuch"],
    [28, qr/in time/, 'get', $at, '/mute', '--timeout', '0.2'],
    [56, qr/closed.*is no FastCGI application; look into its own log/, 'get', $at,
        '/dies'],
    [56, qr/closed.*took too long; look into its own log/, 'get', $at, '/cuts'],
    [66, qr/OVERLOADED/, 'get', $at, '/overloaded'],
    [67, qr/UNKNOWN_ROLE/, 'get', $at, '/role'],
);
for (@wrong) {
    my ($code, $what, @words) = @$_;
    my $name = join ' ', "exit $code:", grep { length $_ < 100 } @words;
    ($rc, $out, $err) = fcng(@words);
    is($rc, $code, $name);
    error_line($err, $what, $name);
}
($rc, $out) = fcng('get', $at, '/missing');
is("$rc $out", '0 Nothing.', 'a status is no failure without --fail');
($rc, $out) = fcng('get', $at, '/long');
is("$rc $out", '0 abc', 'no more than Content-Length');
($rc) = run_bounded(20, '/bin/sh', '-c', "'$fcng' get '$at' /hello >/dev/full");
is($rc, 23, 'exit 23: stdout cannot be written');

# ---- who is no FastCGI application ----

for (['an HTTP server', "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ['a TLS server', "\x15\x03\x03\x00\x02\x02\x46"]) {
    my ($who, $says) = @$_;
    my $other = FCNG::App->new(connection => sub {
        $_[0]->next_record(2);
        $_[0]->send($says);
    });
    ($rc, $out, $err) = fcng('get', $other->address, '/');
    is($rc, 56, "exit 56: $who");
    error_line($err, qr/\Q$who\E/, $who);
}

# ---- records ----

($rc, $out, $err) = fcng('dump', $at, '/hello', '--data', 'abc');
is($rc, 0, 'dump');
$out =~ s/(PARAMS \s+ id=1\ length=)[1-9]\d*/$1N/x;
is($out, <<'END', 'dump shows each record, both ways');
> BEGIN_REQUEST     id=1 length=8 padding=0 role=RESPONDER
> PARAMS            id=1 length=N padding=0
> PARAMS            id=1 length=0 padding=0
> STDIN             id=1 length=3 padding=0
> STDIN             id=1 length=0 padding=0
< STDOUT            id=1 length=47 padding=0
< STDOUT            id=1 length=0 padding=0
< END_REQUEST       id=1 length=8 padding=0 appStatus=0 REQUEST_COMPLETE
END

spew("$dir/records", record(6, 7, 'x' x 3, padding => 5)
    . record(99, 1, '') . end_request(7, 258, 1));
($rc, $out, $err) = fcng('dump', "\@$dir/records");
is($rc, 0, 'dump of a file');
is($out, <<'END', 'its records');
  STDOUT            id=7 length=3 padding=5
  type 99           id=1 length=0 padding=0
  END_REQUEST       id=7 length=8 padding=0 appStatus=258 CANT_MPX_CONN
END
spew("$dir/records", record(6, 7, 'x') . substr record(6, 7, 'abc'), 0, 9);
($rc, $out, $err) = fcng('dump', "\@$dir/records");
is($rc, 8, 'exit 8: a file that ends within a record');
error_line($err, qr/within a record/, 'a cut file');
spew("$dir/records", 'HTTP/1.1 200 OK');
($rc, $out, $err) = fcng('dump', "\@$dir/records");
is($rc, 8, 'exit 8: a file that is no FastCGI');
like($out, qr/no FastCGI/, 'said at the first record');

done_testing();
