# SPDX-License-Identifier: BSD-2-Clause
#
# Require fastcgi-ng POOL [words], alone and within the blocks of
# mod_authz_core: what comes of each answer, and how often the application is
# asked.  A failure is never turned round into a grant.
use strict;
use warnings;
use FCNG::App;
use FCNG::Hosts;
use FCNG::Util qw(spew);
use MIME::Base64 qw(encode_base64);
use Test::More;

sub decide {
    my ($r) = @_;
    my ($do) = ($r->env('QUERY_STRING') // '') =~ /do=(\w+)/;
    my $user = $r->env('REMOTE_USER') // '';
    return $r->answer("Status: 200\r\nVariable-TEAM: blue\r\n\r\n")
        if $do eq 'granted' || ($do eq 'user' && length $user);
    return $r->answer("Status: 403\r\nX-By: app\r\nContent-Type: text/x-a\r\n"
        . "\r\n/not for you") if $do eq 'denied';
    # Who are you?  Then: not you.
    return $r->answer('Status: ' . (length $user ? 403 : 401) . "\r\n\r\nwho")
        if $do eq 'who';
    return $r->answer("Status: 401\r\nWWW-Authenticate: App x=\"y\"\r\n\r\n"
        . 'who') if $do eq 'always' || $do eq 'user';
    return $r->answer("Status: 302\r\nLocation: https://login.example/\r\n"
        . "\r\n") if $do eq 'away';
    return $r->end(0, 2) if $do eq 'overloaded';
    return $r->die_now;
}

my %auth = (none => [], anon => [],
    bad => [Authorization => 'Basic ' . encode_base64('joe:bad', '')],
    joe => [Authorization => 'Basic ' . encode_base64('joe:secret', '')]);

my $require = 'Require fastcgi-ng auth';
my %form = (
    plain => $require,
    all => "<RequireAll>\nRequire all granted\n$require\n</RequireAll>",
    anyg => "<RequireAny>\nRequire all granted\n$require\n</RequireAny>",
    any2g => "<RequireAny>\n$require\nRequire all granted\n</RequireAny>",
    anydenied => "<RequireAny>\n$require\nRequire all denied\n</RequireAny>",
    none => "<RequireAll>\nRequire all granted\n<RequireNone>\n$require\n"
        . "</RequireNone>\n</RequireAll>",
    not => "<RequireAll>\nRequire all granted\n"
        . "Require not fastcgi-ng auth\n</RequireAll>",
    allvalid => "<RequireAll>\n$require\nRequire valid-user\n</RequireAll>",
    anyvalid => "<RequireAny>\n$require\nRequire valid-user\n</RequireAny>",
    validany => "<RequireAny>\nRequire valid-user\n$require\n</RequireAny>",
);

# Status and number of questions for the answers granted, denied, who
# (401 until there is a user, then 403), always (401), dies.  Where nobody can
# log in a 401 is a 403: Require has no other.
my @answers = qw(granted denied who always dies);
my @table = (
    [[qw(plain anydenied)], ['none'], qw(200/1 403/1 403/1 403/1 500/1)],
    [['all'], ['none'], qw(200/1 403/1 403/1 403/1 500/1)],
    [['anyg'], ['none', 'anon'], qw(200/0 200/0 200/0 200/0 200/0)],
    [['any2g'], ['none'], qw(200/1 200/1 200/1 200/1 500/1)],
    [[qw(none not)], [qw(none anon)], qw(403/1 200/1 200/1 200/1 500/1)],
    [[qw(plain all anydenied)], [qw(anon bad)],
        qw(200/1 403/1 401/1 401/1 500/1)],
    [[qw(plain all anydenied)], ['joe'], qw(200/1 403/1 401/2 401/2 500/1)],
    [['allvalid'], [qw(anon bad)], qw(401/1 403/1 401/1 401/1 500/1)],
    [['allvalid'], ['joe'], qw(200/2 403/1 401/2 401/2 500/1)],
    [[qw(anyvalid validany)], [qw(anon bad)], qw(200/1 401/1 401/1 401/1 500/1)],
    [['anyvalid'], ['joe'], qw(200/1 200/2 200/2 200/2 500/1)],
    [['validany'], ['joe'], qw(200/1 200/1 200/1 200/1 500/1)],
);

FCNG::Hosts->each(only => 'apache', load => [qw(auth_basic authn_core
    authn_file authz_user)], sub {
    my ($host) = @_;
    my $auth = FCNG::App->new(request => \&decide);
    my $dir = $host->dir;
    # joe:secret
    spew("$dir/users", "joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n");
    my $basic = "AuthType Basic\nAuthName x\nAuthUserFile $dir/users\n";
    my $text = "FastCgiNgPool auth @{[$auth->address]}\n";
    for my $name (sort keys %form) {
        for my $how ('none', 'basic') {
            $host->file("$how/$name/page.txt", 'page');
            $text .= "<Location \"/$how/$name\">\n$form{$name}\n"
                . ($how eq 'basic' ? $basic : '') . "</Location>\n";
        }
    }
    my %more = (
        words => "$require role \"a b\" %{REQUEST_METHOD} %{HTTP:X-Word}",
        body => "$require\nFastCgiNgRequireBody on",
        basicbody => "$require\nFastCgiNgRequireBody on\n$basic",
        either => "<RequireAny>\n$require first\n$require second\n"
            . "</RequireAny>\nFastCgiNgRequireBody on",
        vars => "<RequireAll>\n$require\nRequire expr reqenv('TEAM') == "
            . "'blue'\n</RequireAll>",
    );
    for my $name (sort keys %more) {
        $host->file("$name/page.txt", 'page');
        $text .= "<Location \"/$name\">\n$more{$name}\n</Location>\n";
    }
    $host->file('htaccess/.htaccess', "$require from-htaccess\n");
    $host->file('htaccess/page.txt', 'page');
    $text .= "ErrorDocument 403 /index.html\n";
    $host->server(apache => $text);
    $host->expect(qr/FCNG\d+/);
    $host->start;

    for my $row (@table) {
        my ($forms, $users, @wanted) = @$row;
        for my $form (@$forms) {
            for my $user (@$users) {
                my $place = ($user eq 'none' ? 'none' : 'basic') . "/$form";
                my @got;
                for my $answer (@answers) {
                    $auth->forget;
                    my $r = $host->get("/$place/page.txt?do=$answer",
                        headers => $auth{$user});
                    my $n = $auth->events('request');
                    # A failure is tried again on another connection.
                    $n = 1 if $answer eq 'dies' && $n > 1;
                    push @got, "$r->{status}/$n";
                }
                is("@got", "@wanted", "$form, $user");
            }
        }
    }

    # ---- words
    $auth->forget;
    my $r = $host->get('/words/page.txt?do=granted',
        headers => ['X-Word' => 'evil words" x']);
    is($r->{status}, 200, 'words');
    my ($asked) = $auth->events('request');
    is($asked->{env}{FCGI_REQUIRE_ARGS}, 'role a b GET evil words" x',
        'split before they are evaluated');
    is($asked->{role}, 2, 'an Authorizer is asked');
    $auth->forget;
    is($host->get('/htaccess/page.txt?do=granted')->{status}, 200,
        '.htaccess');
    ($asked) = $auth->events('request');
    is($asked->{env}{FCGI_REQUIRE_ARGS}, 'from-htaccess', 'with its words');
    is($host->get('/vars/page.txt?do=granted')->{status}, 200,
        'the next Require sees the variables');

    # ---- its answer
    $r = $host->get('/none/plain/page.txt?do=denied');
    is("$r->{status} $r->{body}", "403 It works.\n",
        'without RequireBody ErrorDocument');
    my $client = $host->client;
    $r = $client->request_on('GET', '/body/page.txt?do=denied');
    is("$r->{status} $r->{body}", '403 /not for you', 'RequireBody on');
    is($r->header('Content-Type'), 'text/x-a', 'its type');
    $r = $client->request_on('GET', '/body/page.txt?do=always');
    is("$r->{status} $r->{body}", '401 who', 'a 401');
    is($r->header('WWW-Authenticate'), 'App x="y"', 'with its challenge');
    $r = $client->request_on('GET', '/body/page.txt?do=away');
    is("$r->{status} " . $r->header('Location'),
        '302 https://login.example/', 'a redirect');
    $r = $client->request_on('GET', '/either/page.txt?do=denied');
    is($r->{body}, '/not for you', 'of several');
    $r = $client->request_on('GET', '/body/page.txt?do=granted');
    is($r->{body}, 'page', 'the connection goes on');
    $r = $host->get('/basicbody/page.txt?do=user');
    is($r->{status}, 401, 'with Basic: a 401');
    $r = $host->get('/basicbody/page.txt?do=user', headers => $auth{joe});
    is($r->{body}, 'page', 'and then a user');
    $r = $host->get('/body/page.txt?do=overloaded');
    is($r->{status}, 500, 'a failure is one');

    # ---- mistakes
    for ([$require =~ s/ auth//r, qr/takes the name of a pool/],
        ['Require fastcgi-ng unknown', qr/there is no pool "unknown"/],
        ['Require fastcgi-ng unix:/x', qr/takes the name of a pool/],
        ['Require fastcgi-ng auth %{nonsense(', qr/is no expression/]) {
        my ($line, $why) = @$_;
        my $other = ref($host)->new;
        $other->server(apache => "FastCgiNgPool auth 127.0.0.1:9\n"
            . "<Location /x>\n$line\n</Location>");
        my ($exit, $said) = $other->test_conf;
        isnt($exit, 0, "$line is refused");
        like($said, $why, 'with the reason');
    }
});
