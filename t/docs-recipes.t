#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause
#
# docs/recipes.md: each configuration is taken by its server as it stands, but
# for the ports that it listens on, and serves requests when addresses and
# folders are the test's.  The programs in it are compiled and run.  The line
# of docs/nginx.md that changes a configuration over does so.
use strict;
use warnings;
use FCNG::App;
use FCNG::HTTP ();
use FCNG::Host::Apache;
use FCNG::Host::Nginx;
use FCNG::Hosts;
use FCNG::Programs;
use FCNG::Util qw(slurp spew spawn top tmpdir free_port run_bounded
    find_tool);
use IO::Socket::UNIX ();
use Test::More;

my %class = (nginx => 'FCNG::Host::Nginx', apache => 'FCNG::Host::Apache');

# ---- the page ----

# [title, [[language, text] ...]] ...
sub recipes {
    my @found;
    my (undef, @parts) = split /^\#\# (.*)\n/m,
        slurp(top() . '/docs/recipes.md');
    while (my ($title, $text) = splice @parts, 0, 2) {
        my @blocks;
        push @blocks, [$1, $2] while $text =~ /^```(\w+)\n(.*?)^```$/msg;
        push @found, [$title, \@blocks];
    }
    return @found;
}

my @recipes = recipes();
my %blocks = map { @$_ } @recipes;

sub block {
    my ($title, $language, $n) = @_;
    my @found = grep { $_->[0] eq $language } @{ $blocks{$title} || [] };
    return $found[$n // 0][1] // die "no $language in $title\n";
}

# ---- servers ----

# The block in a host of its own; %$to: what stands in for an address or a
# folder.  /srv/www is the host's folder of documents.
sub configure {
    my ($name, $text, $to) = @_;
    my $host = $class{$name}->new(load => [qw(proxy proxy_http)]);
    my $port = $host->{recipe_port} = free_port();
    my %to = ('/srv/www' => $host->docroot,
        '/var/cache/nginx' => "$host->{dir}/tmp", %{ $to || {} });
    $text =~ s/^(\s*listen) 80;/$1 127.0.0.1:$port;/mg;
    $text =~ s/<VirtualHost \*:80>/Listen 127.0.0.1:$port\n<VirtualHost *:$port>/g;
    $text =~ s/\Q$_\E/$to{$_}/g for sort { length $b <=> length $a } keys %to;
    return $host->main($name => $text);
}

# $which: [title, language, which of several].  what: to, files, ask; ask
# holds [path, pattern of status and body, more of the request ...].
sub serves {
    my ($which, %what) = @_;
    my ($title, $name, $n) = @$which;
    my $missing = $class{$name}->missing;
    SKIP: {
        skip $missing, 1 if $missing;
        subtest "$title: $name" . ($n ? " ($n)" : '') => sub {
            my $host = configure($name, block(@$which), $what{to});
            my %files = %{ $what{files} || {} };
            $host->file($_, $files{$_}) for sort keys %files;
            $host->expect(@{ $what{expect} || [] });
            $host->start;
            for my $ask (@{ $what{ask} }) {
                my ($path, $wanted, %how) = @$ask;
                $wanted =~ s/DOCROOT/quotemeta $host->docroot/ge;
                my $r = FCNG::HTTP::request($host->{recipe_port},
                    $how{method} // 'GET', $path, seconds => 10, %how);
                like("$r->{status} $r->{body}", qr/\A$wanted\s*\z/ms, $path);
            }
            $host->finish;
        };
    }
    return;
}

sub both {
    my ($title, %what) = @_;
    serves([$title, $_], %what) for sort keys %class;
    return;
}

# Without an application: what a server says to the text as it stands.
sub is_taken {
    my ($title, $name, $text) = @_;
    SKIP: {
        my $missing = $class{$name}->missing;
        skip $missing, 1 if $missing;
        my ($exit, $said) = configure($name, $text)->test_conf;
        ok($exit == 0 && $said !~ /\[warn\].* in \S+:\d|: warn\]|AH\d+: Warn/,
            "$title: $name takes it") or diag($said);
    }
    return;
}

# An application that lists some of its parameters.
sub lister {
    my (@names) = @_;
    return FCNG::App->new(listen => 'tcp', request => sub {
        my ($r) = @_;
        $r->text(join ' ', map { "$_=" . ($r->env($_) // '-') } @names);
    });
}

# ---- what is asked of each ----

my %php = ('hello.php' => '<?php echo "hello";',
    'info.php' => '<?php echo $_SERVER["SCRIPT_NAME"], " ",'
        . ' $_SERVER["PATH_INFO"] ?? "-";',
    'index.php' => '<?php echo "front ", $_SERVER["REQUEST_URI"];',
    'public/index.php' => '<?php echo "app ", $_SERVER["REQUEST_URI"];',
    'public/style.css' => 'css', 'note.txt' => 'a note',
    'wp-content/uploads/evil.php' => '<?php echo "evil";');

my %check = (
    'PHP-FPM' => sub {
        my $missing = FCNG::Programs->missing('php_fpm');
        skip $missing, 1 if $missing;
        my $php = FCNG::Programs->php_fpm(children => 8);
        both($_[0], files => \%php,
            to => { 'unix:/run/php/php8.2-fpm.sock' => $php->address },
            ask => [['/hello.php', '200 hello'], ['/note.txt', '200 a note'],
                ['/info.php/some/path', '200 /info.php /some/path'],
                ['/', '200 front /'], ['/nosuch.php', '404 .*?'],
                ['/note.txt/x.php', '404 .*']]);
    },

    'WordPress and other front controllers' => sub {
        my $missing = FCNG::Programs->missing('php_fpm');
        skip $missing, 1 if $missing;
        my $php = FCNG::Programs->php_fpm(children => 8);
        my %to = ('unix:/run/php/php8.2-fpm.sock' => $php->address);
        both($_[0], files => \%php, to => \%to,
            ask => [['/', '200 front /'], ['/note.txt', '200 a note'],
                ['/2026/a-post/?p=1', '200 front /2026/a-post/\?p=1'],
                ['/hello.php', '200 hello'],
                ['/wp-content/uploads/evil.php', '40[34] (?!.*evil).*'],
                ['/wp-content/uploads/evil.php/x', '40[34] (?!.*evil).*']]);
        serves([$_[0], 'nginx', 1], files => \%php, to => \%to,
            ask => [['/some/page?x=1', '200 app /some/page\?x=1'],
                ['/style.css', '200 css'], ['/index.php', '404 .*']]);
    },

    'An application in Go' => sub {
        my $missing = FCNG::Programs->missing('go');
        skip $missing, 1 if $missing;
        my $go = FCNG::Programs->go(listen => 'tcp');
        both($_[0], to => { '127.0.0.1:9000' => $go->address },
            ask => [['/some/path?count', '200 5', method => 'POST',
                    body => 'hello', chunked => 1],
                ['/some/path?env', '200 .*^URL=\S+/some/path\?env$.*']]);
    },

    'A C program on libfcgi, started by spawn-fcgi' => sub {
        my $missing = FCNG::Programs->missing('libfcgi');
        skip $missing, 1 if $missing;
        my $dir = tmpdir();
        spew("$dir/hello.c", block($_[0], 'c'));
        my ($exit, $out, $err) = run_bounded(60, find_tool('cc'), '-Wall',
            '-o', "$dir/hello", "$dir/hello.c", '-lfcgi');
        is("$exit$out$err", '0', "$_[0]: is compiled");
        my $app = program({ path => "$dir/app.sock" }, "$dir/hello");
        both($_[0], to => { 'unix:/run/hello.sock' => $app->address },
            ask => [['/hello/world', '200 Hello from /world'],
                ['/hello/again', '200 Hello from /again']]);
    },

    'A Perl program on FCGI::Async' => sub {
        my $missing = FCNG::Programs->missing('async');
        skip $missing, 1 if $missing;
        my $dir = tmpdir();
        my $text = block($_[0], 'perl') =~ s{/run/app/app.sock}
            {$dir/app.sock}r;
        my $app = program({ path => "$dir/app.sock", makes_socket => 1 },
            $^X, spew("$dir/app.pl", $text));
        both($_[0], to => { 'unix:/run/app/app.sock' => $app->address },
            ask => [['/app/world', '200 Hello from /world'],
                ['/app/again', '200 Hello from /again']]);
    },

    'Shibboleth' => sub {
        my $missing = FCNG::Programs->missing('shibboleth');
        skip $missing, 1 if $missing;
        like(block($_[0], 'xml'), qr{<Host\ name="sp\.example\.org">\s*<Path
            \ name="secure"\ authType="shibboleth"\ requireSession="true"/>}x,
            "$_[0]: protects what the test protects");
        for my $name (sort keys %class) {
            my $text = block($_[0], $name);
            my $lack = $class{$name}->missing;
            SKIP: {
                skip $lack, 1 if $lack;
                subtest "$_[0]: $name" => sub {
                    shibboleth_protects($name, $text);
                };
            }
        }
    },

    'Pages from Markdown: a Filter' => sub {
        my $missing = FCNG::Programs->missing('markdown');
        skip $missing, 1 if $missing;
        my $dir = tmpdir();
        spew("$dir/markdown.c", block($_[0], 'c'));
        my ($exit, $out, $err) = run_bounded(60, find_tool('cc'), '-Wall',
            '-o', "$dir/markdown", "$dir/markdown.c", '-lcmark', '-lfcgi');
        is("$exit$out$err", '0', "$_[0]: is compiled");
        my $app = program({ path => "$dir/app.sock" }, "$dir/markdown");
        my %to = ('unix:/run/markdown.sock' => $app->address);
        both($_[0], to => \%to, files => { 'a.md' => "A *note*\n",
                'a.txt' => 'text' },
            ask => [['/a.md', '200 <p>A <em>note</em></p>'],
                ['/a.txt', '200 text'], ['/b.md', '404 .*']]);
        my $wiki = FCNG::App->new(request => sub {
            my ($r) = @_;
            my $type = $r->action eq 'page' ? 'markdown' : 'plain';
            $r->answer("Content-Type: text/$type\r\n\r\nA *page*");
        });
        my $title = $_[0];
        serves([$title, $_, 1],
            to => { %to, 'unix:/run/wiki.sock' => $wiki->address },
            ask => [['/page', '200 <p>A <em>page</em></p>'],
                ['/other', '200 A \*page\*']]) for qw(apache nginx);
    },

    'Several servers' => sub {
        my @apps = map { lister('PATH_INFO') } 1, 2;
        # The first one does not answer.
        both($_[0], to => { '192.0.2.11:9000' => '127.0.0.1:' . free_port(),
                '192.0.2.12:9000' => $apps[0]->address,
                '192.0.2.13:9000' => $apps[1]->address },
            ask => [map { ["/p$_", "200 PATH_INFO=/p$_"] } 1 .. 4]);
    },

    'PHP-FPM on another machine' => sub {
        my @names = qw(SCRIPT_FILENAME SCRIPT_NAME PATH_INFO);
        my $app = lister(@names);
        my %to = ('192.0.2.10:9000' => $app->address);
        my $page = ['/a/b.php?x', '200 SCRIPT_FILENAME=/srv/remote/a/b.php'
            . ' SCRIPT_NAME=/a/b.php PATH_INFO=-'];
        serves([$_[0], 'nginx'], to => \%to, ask => [$page,
            ['/some/path', '200 SCRIPT_FILENAME=/srv/remote/index.php'
                . ' SCRIPT_NAME=/index.php PATH_INFO=/some/path']]);
        serves([$_[0], 'apache', 0], to => \%to, ask => [$page]);
        serves([$_[0], 'apache', 1], to => \%to, files => { 'a/x' => '' },
            ask => [$page]);
    },

    'Files that the application hands out: X-Accel-Redirect' => sub {
        my $app = FCNG::App->new(request => sub {
            my ($r) = @_;
            $r->out("X-Accel-Redirect: /protected/report.txt\r\n\r\n");
            $r->end;
        });
        my $dir = tmpdir();
        spew("$dir/report.txt", 'the report');
        serves([$_[0], 'nginx'], to => { 'unix:/run/app/app.sock' =>
                $app->address, '/srv/files' => $dir },
            ask => [['/download/1', '200 the report'],
                ['/protected/report.txt', '404 .*']]);
    },

    'Answers from a cache' => sub {
        my $app = FCNG::App->new(connection => sub {
            my ($conn) = @_;
            while (my $r = $conn->next_request) {
                $r->body;
                $r->text('answer to ' . $r->env('REMOTE_PORT'));
            }
        });
        serves([$_[0], 'nginx'], to => { 'unix:/run/app/app.sock' =>
                $app->address },
            ask => [['/page', '200 answer to \d+'],
                ['/page', '200 answer to \d+'],
                ['/page', '200 answer to \d+', headers =>
                    [Cookie => 'session=1']]]);
        is(scalar(my @asked = $app->events('request')), 2,
            "$_[0]: one of three is answered by the cache");
    },
);

sub shibboleth_protects {
    my ($name, $text) = @_;
    my $dir = tmpdir();
    my $host = configure($name, $text, { '/run/shibboleth' => $dir });
    # UseCanonicalName On: the port is ServerName's, too.
    my $shib = FCNG::Programs->shibboleth(host => 'sp.example.org',
        http_port => $host->is_apache ? 80 : $host->{recipe_port});
    for my $program (qw(authorizer responder)) {
        symlink $shib->{$program} =~ s/^unix://r, "$dir/$program.sock"
            or die "$dir/$program.sock: $!\n";
    }
    $host->file($_, 'a file') for qw(open.txt secure/file);
    $host->start;
    my $ask = sub {
        my ($path, $to) = @_;
        return FCNG::HTTP::get($host->{recipe_port}, $path,
            headers => [Host => $to // 'sp.example.org']);
    };
    is($ask->('/open.txt')->{body}, 'a file', 'an open file');
    for my $path ('/secure/file', '/secure/app/x', '/secure/none') {
        for my $to ('sp.example.org', 'other.example') {
            my $r = $ask->($path, $to);
            like("$r->{status} " . ($r->header('Location') // ''),
                qr{^302 https://ds\.example\.org/\?entityID=},
                "$path needs a session, asked as $to")
                or diag($r->{body}, $host->log);
        }
    }
    like($ask->('/Shibboleth.sso/Session')->{body},
        qr/session was not found/, 'the responder');
    $host->finish;
    return;
}

# A program that makes its socket, or finds it as descriptor 0.
sub program {
    my ($how, @command) = @_;
    my $self = FCNG::Programs->prepare;
    $self->{path} = $how->{path};
    $self->{address} = "unix:$how->{path}";
    if ($how->{makes_socket}) {
        $self->{command} = \@command;
        return $self->start;
    }
    my $socket = IO::Socket::UNIX->new(Local => $how->{path}, Listen => 16)
        or die "$how->{path}: $!\n";
    chmod 0666, $how->{path};
    $self->{pid} = spawn({ stdin => $socket }, @command);
    return $self;
}

# ---- each recipe ----

is_deeply([sort map { $_->[0] } @recipes], [sort keys %check],
    'each recipe has its check');
for my $recipe (@recipes) {
    my ($title, $found) = @$recipe;
    for my $block (@$found) {
        is_taken($title, @$block) if $class{$block->[0]};
    }
    SKIP: {
        $check{$title}->($title);
    }
}

# ---- changing over ----

SKIP: {
    my $missing = FCNG::Host::Nginx->missing;
    skip $missing, 1 if $missing;
    my ($line) = slurp(top() . '/docs/nginx.md')
        =~ m{^    (sed -E -i.bak '.*') /etc/nginx/sites-available/default$}m;
    my $host = FCNG::Host::Nginx->new;
    my $dir = $host->dir;
    mkdir "$dir/snippets";
    for my $twin (qw(fastcgi_ng_params fastcgi_ng.conf
        snippets/fastcgi_ng-php.conf)) {
        spew("$dir/$twin", slurp(top() . "/ngx_module/conf/$twin"));
    }
    spew("$dir/site", <<'CONF');
location ~ \.php$ {
    include snippets/fastcgi-php.conf;
    fastcgi_pass unix:/run/php/php8.2-fpm.sock;
    fastcgi_read_timeout 5m;
}
location ~ ^(?<script>.+\.php)(/.*)$ {
    fastcgi_split_path_info ^(.+?\.php)(/.*)$;
    include fastcgi_params;
    fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
    fastcgi_param PATH_INFO $fastcgi_path_info;
    fastcgi_pass 127.0.0.1:9000;
    fastcgi_keep_conn on;
}
location /all { include fastcgi.conf; fastcgi_pass 127.0.0.1:9000; }
CONF
    for my $time (qw(once twice)) {
        my ($exit, undef, $err) = run_bounded(10, 'sh', '-c',
            "$line $dir/site");
        is("$exit$err", '0', "the line of nginx.md is run $time");
        my $text = slurp("$dir/site");
        unlike($text, qr/\bfastcgi_(?!ng)|fastcgi[-.]|ng_ng/,
            'all is changed, and once') or diag($text);
        is(() = $text =~ m{unix:/run/php/php8\.2-fpm\.sock}g, 1,
            'but not the address');
    }
    $host->server(nginx => "include $dir/site;");
    my ($exit, $said) = $host->test_conf;
    is($exit, 0, 'nginx takes what comes out') or diag($said);
}
done_testing();
