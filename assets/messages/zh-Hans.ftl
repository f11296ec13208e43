### 控制台的简体中文文案。格式为 Fluent(https://projectfluent.org);键与占位符须与 en.ftl 一致，由构建检查。
###
### 术语：drill 演练 · game day 演练日 · plan 方案 · experiment 实验 · fault 故障 · injection 注入 · steady 稳定 ·
### tolerated 可容忍 · out 越界 · baseline 基线 · preflight 预检 · verdict 结论 · revert 撤回 · recover 恢复 ·
### proved clean 已验证清除 · latch 锁定 · lease 租约 · hold 暂停 · finish 结束 · abort 中止 · guardrail 护栏 ·
### finding 发现项 · journal 演练记录。agent 保留为 Agent，以免与“代理服务器”混淆；按钮保留 ABORT。

## Commands

command-abort = ABORT
    .tip = 立即撤回所有故障，并锁定各 Agent
command-finish = 结束
    .tip = 撤回故障并进入恢复阶段；不锁定任何 Agent
command-hold = 暂停
    .tip = 撤回故障并停止步骤计时；不锁定任何 Agent。继续时重新测取基线，再执行完剩余时间
command-resume = 继续
    .tip = 重新测取基线，再把被中断的故障按剩余时间重新注入
command-retry = 重试
    .tip = 重新开始同一实验：预检、基线，首个故障之前会请你确认
command-copy-ours = 复制：是我们造成的吗？
    .tip = 复制一句话，说明我们有哪些故障在生效，附演练、控制台和时间
command-begin = 开始 …
    .tip = 检查全部条件，等待稳态，首个故障之前会请你确认
command-arm = 启动故障
    .tip = 所有检查通过后，确认启动
command-note = 备注
    .tip = 在时间线上写一条备注
command-demo = 开始演示
    .tip = 在本机启动订单系统，并对它进行一次演练
command-test-abort = 测试中止
    .tip = 在每个 Agent 上启动不做任何改动的 noop 故障，再将其中止
command-open-gameday = 打开演练日 …
    .tip = 打开 gameday.toml 所在的文件夹
command-enter = 代为记录
    .tip = 为没有本程序的人输入一行记录
command-next-person = 下一人
    .tip = 以演练日下一人的名义记录时间
command-reveal = 揭晓
    .tip = 从现在起，可以说明密封的演练是什么
command-responder = 响应者
    .tip = 给值班人员的窗口：症状、时间记录与 ABORT，不显示方案内容
command-noticed = 已察觉
    .tip = 有人察觉到异常
command-paged = 已告警
    .tip = 有人收到告警呼叫
command-acknowledged = 已应答
    .tip = 告警已被应答
command-hypothesis = 判断正确
    .tip = 有人说出了真正的原因
command-mitigated = 已缓解
    .tip = 影响已消除
command-recovered = 已恢复
    .tip = 一切恢复如前
command-open = 打开方案 …
    .tip = 打开一个方案文件
command-save = 保存
    .tip = 将方案写回文件，保留注释
command-undo = 撤销
    .tip = 撤销上一次编辑
command-redo = 重做
    .tip = 重新执行该编辑
command-zoom-in = 放大
    .tip = 图上显示更短的时间
command-zoom-out = 缩小
    .tip = 图上显示更长的时间
command-earlier = 更早
    .tip = 将图移向过去
command-later = 更晚
    .tip = 将图移向现在
command-follow = 跟随
    .tip = 图重新跟随当前时间
command-play = 播放或暂停
    .tip = 回放自动继续，或停住
command-previous-event = 上一事件
    .tip = 回放退到之前最近发生的事
command-next-event = 下一事件
    .tip = 回放转到接下来发生的事
command-mark = 书签 …
    .tip = 标记回放显示的时刻；保存在演练旁边，不写入已封存的日志
command-export = 导出 …
    .tip = 写出当前显示的内容：演练为 HTML、Markdown、JSON 和 PNG，演练日为 Markdown
command-palette = 查找命令 …
    .tip = 按名称查找命令
command-help = 帮助
    .tip = 所有命令及其按键
command-stage = 投屏
    .tip = 供投影仪使用的窗口；双击可全屏，Esc 关闭
command-seal = 投屏保密
    .tip = 投屏只显示“演练进行中”；再按一次显示全部
command-share = 共享……
    .tip = 让他人凭链接以各自的角色旁观此演练
command-abort-window = ABORT 窗口
    .tip = 置于其他程序之上的 ABORT 小窗口；故障生效期间自动出现
command-theme = 主题
    .tip = 深色适合办公桌，浅色适合投影仪
command-speak-tip = 全部使用这种语言
command-speak-as-system = 系统语言
    .tip = 若控制台支持，则全部使用本机的语言
command-larger = 放大界面
    .tip = 放大所有内容
command-smaller = 缩小界面
    .tip = 缩小所有内容
command-first-size = 默认大小
    .tip = 所有内容恢复最初大小
command-welcome = 欢迎
    .tip = 开始演示、打开方案
command-design = 设计
    .tip = 编写方案
command-live = 实时
    .tip = 观察演练
command-review = 复盘
    .tip = 已结束的演练
command-fleet = Agent
    .tip = 所有 Agent
command-agenda = 议程
    .tip = 演练日：演练、准备、人员、发现项
command-gallery = 控件库
    .tip = 控制台自有控件的每种状态，供开发者参考

group-drill = 演练
group-gameday = 演练日
group-plan = 方案
group-plots = 实时视图的图
group-review = 回顾与回放
group-views = 视图
group-window = 窗口与外观

why-already-back = 故障正在撤回
why-watching = 此窗口只旁观另一个控制台
why-no-drill = 没有演练在进行
why-held-already = 已经暂停
why-only-injecting = 仅在注入阶段可用：此前此后都没有故障生效
why-not-read-back = 须先回读确认全部已撤回
why-baseline-taken = 正在测取新的基线
why-nothing-held = 没有暂停的演练
why-only-inconclusive = 仅用于无定论的演练
why-drill-runs = 有演练正在进行
why-no-plan = 没有打开的方案
why-nothing-waits = 没有等待确认的启动
why-no-agents = 没有打开含 Agent 的方案
why-only-live = 仅在实时视图或回放中且有演练时可用
why-only-replay = 仅在回顾中回放演练时可用
why-only-review = 仅在回顾中有结束的演练时可用
why-no-gameday-drill = 没有进行中的演练日演练
why-no-gameday = 没有打开的演练日
why-nothing-sealed = 没有密封的内容
why-only-design = 仅在设计视图可用

## Notices of the desktop

notice-abort = 已按下 ABORT：正在撤回所有故障。
notice-abort-by = { $who } 按下了 ABORT：正在撤回所有故障。
notice-sealed = 演练进行中
notice-out = { $indicator } 越界
notice-out-words = 在“{ $experiment }”中超出容忍范围。

## Numbers, times, names

# strftime 格式。
date-format = %-m月%-d日 %H:%M
range-between = { $least } 至 { $most }
line-steady = 稳定 { $range }
line-tolerated = 可容忍 { $range }
line-never = 从不停止
line-stop-below = 停止 < { $least }
line-stop-above = 停止 > { $most }
line-stop-outside = 超出 { $least } 至 { $most } 即停止
line-no-stop = 无停止线
span-seconds = { $seconds } 秒
span-minutes = { $minutes } 分 { $seconds } 秒
age-now = 刚刚
age-seconds = { $seconds } 秒前
age-minutes = { $minutes } 分钟前
names-nobody = 无
names-two = { $first } 和 { $second }
names-more = { $first } 及另外 { $more } 个
agents = { $number } 个 Agent
mistakes = { $number } 处错误
open-findings = { $number ->
    [0] 没有未关闭的发现项
   *[other] { $number } 个未关闭的发现项
}

## "Is this us?"

copy = 复制
copied = 已复制
ends-in = { $left }后结束
lease-left = 租约 { $left }
ours-unknown = 尚未询问任何 Agent
ours-nothing = 我们没有任何故障在生效
ours-nothing-proved = 我们没有任何故障在生效，{ $time } 已验证
ours-on = { $agents } 上有我们的 { $faults } 个故障
ours-may-be-on = { $agents } 上可能有我们的故障：尚未回读确认

## Around every view

header-unsaved-plan = 尚未存为文件的方案
header-no-plan = 未打开方案
header-no-drill = 没有演练
header-begin = 在“设计”中打开一个方案，或开始演示。
phase-preflight = 预检
phase-baseline = 基线
phase-arming = 待启动
phase-inject = 注入
phase-recover = 恢复
phase-closing = 撤回
phase-verdict = 结论
theme-light = 浅色主题
theme-dark = 深色主题
emergency-stop = 紧急停止
abort-sending = 正在中止 …
abort-keys = 中止 · { $keys }
abort-calm = 中止 · 无可停止 · { $keys }
dismiss = 知道了

## Design, as far as commands need it

why-mistakes = 请先修正方案中的错误
hosts = { $number } 台主机
overdue-findings = { $number } 个逾期的发现项

## Help and palette

help-title = 全部命令
close = 关闭
palette-title = 命令
palette-field = 查找命令
palette-hint = 想做什么？
palette-none = 没有这样的命令。

## States, fuse, lease

state-steady = 稳定
state-tolerated = 可容忍
state-out = 越界
state-no-data = 无数据
agent-latched = 已锁定
agent-ready = 就绪
agent-not-asked = 未询问
agent-not-usable = 不可用
agent-no-answer = 无应答
fuse = { $more ->
    [0] 坏样本 { $bad }/{ $after }：演练已停止
    [1] 坏样本 { $bad }/{ $after }：再有一个即停止演练
   *[other] 坏样本 { $bad }/{ $after }：再有 { $more } 个即停止演练
}
fuse-short = 坏样本 { $bad }/{ $after }
fuse-short-next = 坏样本 { $bad }/{ $after }，再有一个即停
lease-words = 若失去联系，{ $left }后自行撤回

## Welcome

welcome-break = 主动制造故障，
welcome-stoppable = 趁你还能随时叫停。
welcome-system = 启动一个小型订单系统
    .words = 网关、订单、支付、库存和真实流量，全部只在本机运行。
welcome-fault = 注入一个故障
    .words = 通过本机上真实的 Agent，让支付服务变慢。
welcome-stop = 演练自动停止
    .words = 结账指标超出限值，故障被撤回并回读确认。
welcome-verdict = 查看结论
    .words = 再对加固后的系统运行同一演练，看它如何挺住。
welcome-local = 所有服务只监听 127.0.0.1，关闭窗口即全部结束。
welcome-minute = 约一分钟，无需准备
welcome-own = 你自己的系统
welcome-plan = 方案是一个 TOML 文件，包含指标、Agent 和实验。
new-plan = 新建方案
recent-plans = 最近的方案
recent-none = 暂无。打开过的方案会列在这里。
welcome-over = 已结束的演练
welcome-journal = 演练记录能原样重现全部过程。
open-journal = 打开演练记录 …
gamedays = 演练日
gamedays-words = 多人参与的一组演练：议程、预测和发现项都在一个文件夹里。
overdue = 自 { $due } 起逾期，{ $owner }：{ $symptom }
overdue-nobody = 自 { $due } 起逾期，无负责人：{ $symptom }
open-findings-overdue = { $number } 个未关闭的发现项，{ $overdue } 个逾期
cannot-be-read = 无法读取

## Stage and the ABORT window

stage-title = 投屏 · Firedrill
abort-window-title = ABORT · Firedrill
# 一行中的两件事，后者接前者。
and-then = { $first }，{ $second }
# 所说之事及其内容。
namely = { $what }：{ $words }
# 两句之间无分隔。
between-sentences = {""}
stage-exercise = 演练进行中。
stage-whoever-sees-harm = 任何人发现危害，请按 ABORT 中止。
stage-exercise-stopping = 正在停止演练。
stage-exercise-stopped = 演练已停止。
stage-no-drill = 没有演练在进行。
stage-checking = 先检查全部条件
stage-nothing-yet = 尚未注入故障
stage-waiting = 正在等待稳态
stage-ready = 已就绪，确认后开始。
stage-closing = 正在撤回所有故障。
stage-recovering = 故障已撤回，正在等待全部恢复稳定。
stage-held = 已暂停，继续之前计时停止。
stage-held-reverting = 已暂停，正在撤回所有故障。
stage-held-baseline = 已暂停，继续之前重新测取基线。
stage-over = 演练结束。
stage-it-held = 假设成立。
stage-it-broke = 假设不成立。
stage-inconclusive = 无法下结论。
stage-aborted = 演练已中止。
stage-stopped-none = 已停止。没有已知的 Agent。
stage-stopped-clean = 已停止。{ $agents }已验证清除。
stage-stopping = 正在停止：{ $agents }中 { $proved } 个已验证清除。
stage-not-clean = { $agents }中 { $rest } 个尚未验证清除。
stage-no-answer = { $agents } 无应答。
stage-not-seen = 看不到{ $indicator }。
stage-is-out = { $indicator } 越界。
stage-steady = 全部稳定。
stage-tolerated = 全部在可容忍范围内。
stage-fuse-burnt = 正在停止
stage-fuse = { $more ->
    [1] 再有一个坏样本即停止
   *[other] 再有 { $more } 个坏样本即停止
}
stage-faults-end = { $faults } 个故障，{ $left }后结束
stage-may-be-on = 可能仍在生效：{ $agents }

## Before a plan is replaced

leave-name = 更改未保存
leave-title = 此方案的更改尚未保存
leave-words = 即将换成另一个方案，未保存的内容将丢失。
leave-save = 先保存
leave-discard = 放弃更改
leave-stay = 留在此处

## A drill that was never ended

open-title = 有一次演练从未结束
open-terminal = 在任意终端中：firedrill abort
open-not-now = 暂不处理
open-driven = 由另一个控制台驱动
open-gone = 其控制台已不在：生效中的故障将随租约到期结束
open-armed = { $time } 启动 · { $whose }
open-abort = 中止它
open-watched = 持续观察，直到它没有任何故障生效
open-watch = 观察

## Guardrails before the start

safety-overridden = { $rule } 已被豁免：{ $who }
safety-reason = 不满足“{ $rule }”仍继续的理由
safety-journaled = 将写入演练记录
safety-override = 豁免 { $rule }
safety-approved-by = 由第二人批准
safety-other = 须与操作人不同
safety-approve = 批准
write-first = 请先填写内容

## Arming

arming-name = 确认启动
arming-back = 返回
arming-not-ready = 所有检查通过后才能启动。
surprise-title = 或在此范围内突然启动
surprise-earliest = 最早
surprise-latest = 最晚
surprise-blind = 我也不想知道时间
surprise-written = 最早和最晚从现在起算，写作 5m 和 40m
surprise-order = 最晚须在最早之后，且在 8 小时之内
surprise-start = 突然启动

## Before a reveal while a fault is on

reveal-name = 揭晓
reveal-title = 仍有故障在生效
reveal-words = 被演练的人会立即看到它是什么。演练会继续。
reveal-stay = 保持密封
reveal-now = 现在揭晓

## The responder's window

responder-title = 响应者 · Firedrill
responder-what-you-see = 你看到的是监控显示的内容。如果是真实事故，请按“真实事故”。
responder-it-was = 原来是：{ $experiment }
responder-real = 真实事故
    .short = 停止并说明一切
    .tip = 中止一切，停止日程，并告诉所有人它是什么
responder-empty = 暂无内容
    .words = 演练开始后，指标显示在此。ABORT 始终可用。
responder-fault = { $fault }，作用于 { $agent }，{ $from } 至 { $until }
responder-did = 你做了什么
responder-think = 你认为是什么
responder-note = 判断
    .hint = 是数据库连接 …
    .empty = 请先输入内容
    .keep = 记录
responder-alerts = 告警
responder-no-alerts = 没有告警。
responder-alert = 告警 { $name } 已触发。

## While ABORT works

aborting-name = 正在中止
aborted-none = 已中止：没有已知的 Agent
aborted-none-words = 请打开要停止的 Agent 所属的方案，或在主机上运行 `firedrill-agent abort`。
aborted-clean = 已中止：全部 { $all } 个 Agent 已验证清除
aborting-proved = 正在中止：{ $all } 个 Agent 中 { $proved } 个已验证清除
aborted-not-clean = { $all } 个 Agent 中 { $rest } 个未验证清除
pressed = { $time } 按下
pressed-by = { $who } 于 { $time } 按下
pressed-because = { $who } 于 { $time } 按下：{ $reason }
pressed-latched = 已锁定：解除锁定之前不会启动任何故障
pressed-working = 中止期间不会启动任何故障
aborting-copy = 复制到故障沟通群
aborting-release = 到 Agent 视图解除锁定 …
aborting-hide = 隐藏
aborting-sending = 仍在发送，每 200 毫秒一次
abort-requested = 已请求
abort-received = 已收到
abort-reverted = 已撤回
abort-proved = 已验证清除
abort-unconfirmed = 未确认
abort-row = { $agent }：{ $stage }，用时 { $took }，{ $latch }。{ $words }
abort-by-hand = 若须立即手动处理：在 { $agents } 的主机上运行
latch-number = 锁定编号 { $number }
latch-not = 未锁定
latch-none = 无锁定
report-in-drill = （演练“{ $experiment }”）
report-pressed = Firedrill:{ $time } 按下 ABORT{ $drill }。{ $all } 个 Agent 中 { $proved } 个已验证清除。
report-by-hand = 手动处理：在未确认的主机上运行 `firedrill-agent abort`。

## Live

live-empty = 没有演练在进行
live-empty-words = 演练进行时，指标、故障和日志都在这里。可在“设计”中开始演练，或先看一次演示。
go-to-design = 前往设计
plot-of = { $indicator } 的曲线
plot-before = 基线
read-out-before = 基线 { $value }
limit-stop = 停止
no-sample = 无样本
samples-all = 已绘出每个样本
samples-hidden = 1 像素 = { $number } 个样本
timeline = 时间线
timeline-hint = 滚轮缩放，拖动平移，双击跟随
follows = 跟随中
stands-still = 已停住：双击恢复跟随
bar-preflight = 预检
bar-baseline = 基线
bar-arming = 待启动
bar-inject = 注入
bar-recover = 恢复
bar-reverting = 撤回
bar-held = 暂停
lever-name = { $agent } 上 { $fault } 的强度
lever-tip = 减弱立即生效；增强须按“应用”并通过所有护栏，且不超过方案规定的 { $most }
lever-apply = 应用 { $strength }
lever-waits = 已有变更在途，请等待答复
lever-leave = 保持 { $strength }
lever-asked = 当前 { $strength }，已请求改为 { $asked } …
lever-hint = 减弱立即生效，增强须按“应用”
run-fix = 运行修复版
build-fragile = 脆弱版
build-hardened = 加固版
outcome-held = 成立
outcome-broken = 不成立
outcome-inconclusive = 无定论
outcome-aborted = 已中止
open-review = 打开复盘
verdict-may-be-on = 可能仍在生效：尚未在 { $agents } 上回读确认。
hold-reverting = 正在暂停
    .words = 正在撤回全部故障，计时已停
hold-held = 已暂停
    .words = 我们没有任何故障在生效；{ $who } 于 { $time } 暂停，计时已停
hold-resuming = 正在继续
    .words = 新基线测完之前不会注入任何故障
hold-then-steps = 步骤从停下处继续
hold-then = { $faults }，强度与之前相同
hold-after-baseline = { $progress }。随后：{ $then }
hold-resume = 继续时重新测取 { $span }的基线；随后：{ $then }
preflight-failed = 预检未通过
preflight-asking = 正在询问每个 Agent 的身份和每个数据源的最新数据 …
check-running-words = 检查中 …
check-passed = 通过
check-failed = 未通过
check-running = 检查中
check-row = { $what }：{ $how }。{ $words }
log = 日志
log-all = 全部
log-faults = 故障
log-samples = 样本
log-notes = 备注
log-empty = 尚无任何事件。
log-no-such = 尚无此类记录。
note-hint = 备注（N)…
actions = 应急动作
action-when = 自动触发：{ $when }
action-send = 发送动作 { $number }
fault-none-yet = 尚未注入故障
fault-next = 接下来：{ $step }，持续 { $length }。
    .words = 确认之后才会开始。
fault-never = 本次演练没有注入任何故障。
by-hand = 手动处理：{ $words }
injection-asked = 已请求 …
injection-starting = 启动中 …
injection-reverting = 撤回中 …
injection-reverted = 已撤回
injection-proved = 已撤回，已验证清除
injection-done = 已完成
injection-refused = 被拒绝
injection-failed = 失败
injection-unconfirmed = 未确认

## Fleet

agent-not-asked-yet = 尚未询问。
latched-number = 已锁定（编号 { $number }）
latched-by = { $who }：{ $reason }。解除之前，这里不会启动任何故障。
release-why = 为何已恢复安全
release-hint = 查明了什么，由谁检查
release-needs-reason = 解除锁定须填写理由
release = 解除锁定
token-for = 此 Agent 的令牌
token-hint = 在此粘贴
token = 令牌
token-first = 请先粘贴此 Agent 的令牌
token-keep = 保存令牌
token-kept = 存于仅你可读的文件，绝不写入方案。
fleet-empty-words = Agent 在所在主机上注入故障，并保证撤回。它们写在方案里：请打开一个方案，或在“设计”中编写。
add-agent = 添加 Agent
fleet-answer = { $all } 个中 { $answer } 个有应答
fleet-answer-latched = { $all } 个中 { $answer } 个有应答，{ $latched } 个已锁定
fleet-ask-again = 重新询问
fact-address = 地址
fact-host = 主机
fact-version = 版本
    .words = { $version }，协议 { $protocol }
fact-labels = 标签
none = 无
fact-held-by = 占用者
    .words = { $console }（{ $who }），演练 { $experiment }
fact-heard = 最近应答
    .words = { $age }，往返 { $trip }
fact-abort-test = 中止测试
abort-test-clean = { $took } 内验证清除
abort-test-failed = 失败：{ $why }
abort-test-not-made = 尚未进行
routes = 路由
route = { $name }：{ $listen } 至 { $upstream }
fleet-faults = 故障
fault-not-here = 此主机不支持
fault-cannot = 不可用：{ $why }。{ $remedy }
enroll-title = 添加 Agent
enroll-words = 在 Agent 的主机上运行 `firedrill-agent enroll`，并粘贴它输出的那一行。
join-string = 接入串
enroll-not-possible = 无法接入：{ $why }。
enroll-secret = 其中含有令牌：不会显示给任何人，存于仅你可读的文件。
enroll-first = 请先粘贴完整的接入串
enroll-trust = 信任此 Agent
cancel = 取消
trusted-title = 将信任的内容
trusted-role-unknown = 该 Agent 允许其令牌所做之事；旧版 Agent 不会说明
trusted-agent = Agent
trusted-aborts = 中止
    .words = 同一主机，端口 { $port }，使用单独的令牌
trusted-role = 角色
trusted-certificate = 只信任这一证书：
trusted-no-certificate = 无证书：不使用 TLS，仅限本机。

## Agenda

panel-before = 准备
panel-predictions = 预测
panel-clocks = 计时
panel-findings = 发现项
panel-exercise = 演练本身
agenda-no-drill = 议程上没有演练。
agenda-empty = 没有打开的演练日
agenda-empty-words = 演练日是一个文件夹：gameday.toml 中的议程、准备和人员，各个方案，以及发生的一切。可在终端中用方案新建：
opened-before = 曾经打开
gameday-mistakes = gameday.toml 有 { $mistakes }
read-again = 重新读取
show-file = 显示文件

box-over = 已超出时段 { $span }
box-left = 时段还剩 { $span }
day-stopped = 已叫停
    .words = { $time } 起：{ $reason }，议程上的演练不再开始
day-over = 已结束
    .words = { $time } 结束
day-running = 进行中
day-started = 已开始
day-ready = 就绪
    .words = 清单全部勾选，所有人同意开始
day-not-ready = 未就绪
day-none-to-come = 没有后续演练
day-next = 下一个：{ $drill }，{ $time }
day-was-aborted = { $drill } 被中止。是因为真实事故吗？若不是，{ $next }
day-in-the-way = { $first }，另有 { $more } 项
write-report = 生成报告
write-invitation = 生成邀请
agenda-goes-on = 恢复议程
resume-hint = 为何已恢复安全
start-gameday = 开始演练日
real-incident = 真实事故
    .tip = 中止一切生效中的故障，并叫停整个议程
a-drill-is-on = 有演练正在进行
end-day = 结束演练日
start-next = 开始下一个演练 …
    .tip = { $drill }：检查全部条件，等待稳态，再请你确认
too-long = 超时 { $span }
    .tip = 请缩短、跳过或结束：议程比演练日更长
say-why-safe = 请说明为何已恢复安全

clock-keys = 按键 1 至 6
not-begun = 此演练尚未开始
clock-when = 其他时间
    .hint = 留空为现在；或填写时刻，如 14:02:30
clock-written = 已记录
    .hint = 划去的记录仍保留
clock-why = 划去的理由
optional = 可选
clock-line = { $at }  { $clock }，{ $by }
clock-line-back = { $at }  { $clock }，补记于 { $written }，{ $by }
clock-struck = 由 { $by } 划去
clock-struck-because = 由 { $by } 划去：{ $why }
clock-for = { $who }，由 { $by } 记录
quick-title = 代他人记录
quick-keys = 按 { $enter } 输入一行，按 { $next } 换下一人
quick-myself = 我自己
quick-hint = ana: noticed 14:03
quick-clock = { $who }：{ $clock }，{ $at }。按 Enter 记录。
quick-strike = { $who }：{ $clock } 不计入。按 Enter 划去。
quick-note = { $who }，{ $at }：{ $words }。按 Enter 记录。
quick-predict = { $who } 预测：{ $verdict }。按 Enter 密封。
strike = 划去
strike-name = 划去：{ $at } { $clock }
clock-after-fault = { $at }，故障开始后 { $span }

# 总数中的若干。
some-of = { $some }/{ $all }
checklist = 检查清单
checklist-none = gameday.toml 没有 [[check]]：开始前不要求检查任何事项。
tick = 勾选
untick = 取消勾选
gameday-has-started = 演练日已经开始
goes = 逐人表态：开始或不开始
goes-none = gameday.toml 没有 [[go]]：无须任何人表态。
said-go = 同意
said-no-go = 不同意
go = 同意
no-go = 不同意
go-adds = { $name } 的补充
    .hint = 简述理由

exercise-title = 关于演练本身
exercise-hint = 不追责；仅在本人同意时，报告才具名
exercise-who = 回答者
your-name = 你的姓名
question-first = 关于我们如何协作，学到了什么？
question-second = 这次演练有哪些不安全、不清楚或浪费时间之处？
question-third = 下一个演练日要有哪些改变？
in-a-sentence = 一句话
    .hint = 用一句话说明
keep = 保留
keep-answer = 保留回答 { $number }
decisions = 决定

on-days-line = 当日时间轴上的 { $drill }
day-end = 结束
day-end-early = 结束，早了 { $span }
on-now = 进行中
slot-tip = { $drill }，{ $from } 至 { $until }，时段 { $slot }
slot-needs = 需要 { $least } 至 { $most }：{ $words }
slot-to-come = 待进行
slot-on = 进行中
slot-skipped = 已跳过
over-at = { $time } 已结束
ends-late = { $time } 结束，晚 { $span }
ends-spare = { $time } 结束，余 { $span }
slot-keys = Alt+↑ 和 Alt+↓ 移动，- 和 + 调整时段，S 跳过；也可拖动
not-run = 不执行
not-run-because = 不执行：{ $why }
not-in-file = 已不在文件中
slot-took = 用时 { $took }，时段 { $slot }
slot-box = 时段 { $slot }
slot-box-needs = 时段 { $slot } · 需要 { $needs }
fits = 时间充足
fits-if-steady = 若立即稳定则够用
too-short = 时间不足
gameday-is-over = 演练日已结束
it-is-on = 正在进行
it-is-over = 已经结束
it-is-first = 已是第一个
it-is-last = 已是最后一个
run-after-all = 恢复执行
skip = 跳过
five-less = -5 分钟
five-more = +5 分钟
run-again = 再次运行 …
start-this = 开始此演练 …

predict-revealed = 已揭晓并评分
predict-sealed = 揭晓前保密
predict-nobody = 没有人预测
predict-reveal = 揭晓并评分
predict-who = 预测者
predict-hypothesis = 假设
predict-holds = 成立
predict-breaks = 不成立
predict-first = 最先越界
predict-worst = 最差值
a-number = 一个数值
predict-notice = 察觉用时
    .hint = 90s 或 2m
predict-words-hint = 会发生什么，为什么
predict-seal = 封存
predict-say-who = 请填写预测者
predict-choose = 请选择最差值对应的指标
predict-worst-number = 最差值须为数值
predict-notice-written = 察觉用时的写法如 90s 或 2m
predict-none = 尚无人预测。封存的内容在揭晓前不会显示给任何人。
seal-tip = 封印：记下它，便无人能悄悄改动你的话
sealed-at = { $time } 封存
said-holds = 成立
said-breaks = 不成立

new-finding = 新建发现项
findings-none = 尚无发现项。发现项会带入下一个演练日，直到处理完毕。
finding-overdue = 逾期
finding-closed = 已关闭
finding-open = 未关闭
finding-due = { $due } 到期
finding-by = 由 { $drill } 发现
finding-from = 来自 { $from }
symptom = 现象
    .hint = 看到了什么
cause = 原因
    .hint = 为何如此
impact = 影响
    .hint = 造成什么代价
owner = 负责人
    .hint = 由谁处理
due = 到期
ticket = 工单
open-again = 重新打开
change = 修改
dealt-with = 已处理
run-its-drill = 重新运行其演练
dealt-how = 如何处理的
    .hint = 如何处理的
say-how = 请说明如何处理
close-finding = 关闭发现项
not-yet = 暂不
change-finding = 修改发现项
evidence = 证据：故障生效期间 { $from } 至 { $until }
keep-finding = 保留发现项
leave-it = 放弃

## Design: plan, indicators, agents

plan-part = 方案
plan-title = 标题
plan-system = 系统
plan-goal = 目标
plan-goal-hint = 想要学到什么
metrics-from = 指标来源
metrics-scrape = 抓取
metrics-scrape-tip = 读取你的服务的指标文本，在此计算
metrics-prometheus-tip = 任何支持其 HTTP API 的系统
metrics-probe = 探测
metrics-probe-tip = 由本机发出请求
metrics-url = 基础地址
metrics-urls = 地址，以逗号分隔
metrics-requests = 请求，以逗号分隔
choose-one = 请选择一项。
metrics-every = 间隔
people = 人员
facilitator = 主持人
facilitator-hint = 主持全场
operator = 操作人
operator-hint = 操作控制台
observers = 观察人，以逗号分隔
observers-hint = 观察并写备注
add-indicator = 添加指标
remove = 删除
indicator-name = 名称
indicator-unit = 单位：如何显示
indicator-unit-hint = %、ms、s、/s 或一个词
good-events = 良好事件
all-events = 全部事件
window = 窗口
histogram = 直方图
quantile = 分位数
counter = 计数器
gauge = 仪表值
lines-share = 以比例表示：0.999 即 99.9 %
lines-seconds = 以秒表示：0.3 即 300 ms
lines-source = 以数据源的单位表示
min-rate = 流量低于此值视为无数据
say-ok = 在容忍范围内时的说法
say-out = 越界时的说法
stops-drill = 停止演练的条件
stop-tolerance = 超出容忍
stop-tolerance-tip = 连续两个样本超出容忍范围
stop-own = 使用单独的停止线
stop-own-tip = 连续若干样本超出此线
stop-never = 从不
stop-never-tip = 其数值从不停止演练；无数据的样本仍会
stop-after = 连续坏样本数达到
tokens-apart = 令牌另存于仅你可读的文件：见 Agent 视图。
agent-name = Agent 名称
agent-address = 地址
labels-tip = 标签：目标据此选择
labels = 标签
lines-in = 各条线，{ $unit }。留空表示不限；容忍线和停止线可省略。
line-of-band = 稳定
line-of-tolerance = 可容忍
line-of-stop = 停止
line-from = { $line }下限
line-to = { $line }上限

## Design: steps

steps = 步骤
add-wait = 添加等待
no-step = 尚无步骤：请在左侧选择一个故障。
lanes-tip = 沿时间拖动步骤，或拖到另一泳道；获得焦点时可用方向键。

## Design: kinds of indicators, lanes, text

kind-ratio = 比率
    .tip = 窗口内良好事件占全部事件之比
kind-quantile-tip = 窗口内直方图的分位数
kind-rate = 速率
    .tip = 窗口内每秒事件数
kind-gauge-tip = 各仪表值之和，原样
kind-promql-tip = 原始 PromQL；仅用于 Prometheus 数据源
step-name = 步骤 { $number }：{ $label }
step-tip = { $label }，{ $from } 至 { $until }
step-target = { $time }，泳道 { $lane }
not-saved = 未保存
saved = 已保存
no-file-yet = 尚无文件
plan-text = 方案文本
mistake-line = 第 { $line } 行：{ $message }
number-expected = 须为数值，而非“{ $typed }”

## Design: experiments

design-faults = 故障
search-faults = 查找故障
search-hint = 查找 …
no-such-fault-name = 没有这样的故障。
add-experiment = 添加实验
no-experiment = 尚无实验
no-experiment-words = 实验由一个假设和检验它的故障组成。请添加一个，或在左侧选择故障。
hypothesis-label = 假设：可被推翻的判断
experiment-name = 实验名称
experiment-baseline = 先保持稳定
experiment-recover = 须在此时间内恢复稳态
experiment-lease = 租约：失去联系后故障最多保留多久
experiment-say = 向全场说明的话；{"{n}"} 和 {"{all}"} 为受影响主机数与总数
add-fault = 添加 { $fault }

## Design: a step and its target

remove-step = 删除此步骤
no-such-fault = 没有这样的故障：请在左侧选择。
step-lane = 泳道：与其他步骤并行
runs-once = 运行一次
repeats = 重复
runs-in-all = 总次数
start-to-start = 起始间隔
target = 目标
how-many = 其中多少
no-agents-yet = 方案尚无 Agent。
hosts-with = 具有以下标签的主机
routes-known = Agent 已有的路由
route-label = 路由
named-by = 指定方式
is-hit = 受影响
may-be-hit = 可能受影响
is-not-hit = 不受影响
by-pid = 进程号
by-process = 进程名
by-command = 命令行
by-port = 监听端口
by-unit = systemd 单元
by-netns = 网络命名空间
step-wait = 等待
step-for-wait = 时长
step-for = 时长
step-ramp = 渐强时长
step-at-once = 立即
hits = { $hosts }中 { $hit } 台受影响
mode-one = 一台
mode-all = 全部
mode-two = 两台
mode-half = 一半
and-more = 另有 { $more } 个

## Design

check-plan = 检查
check-plan-tip = 显示第一处错误
nothing-to-save = 没有可保存的内容
nothing-there = 没有可用的操作
no-mistakes = 没有错误
form-waits = 表单等待文本
file-newer = 磁盘上的文件比此文本更新。
save-over = 覆盖保存
design-empty = 没有打开的方案
design-empty-words = 方案说明系统是什么、须达到怎样的水平、由谁注入故障，以及对它做哪些实验。
indicators-part = 指标
agents-part = Agent
experiments-part = 实验
no-toml = 右侧文本目前不是合法的 TOML。

## Review: replay, two drills, the game day's report

review-found = 结论
review-replay = 回放
review-compare = 对比
review-day = 演练日
review-none-title = 还没有结束的演练
review-none = 结束的演练及其结论和数值显示在这里，也可以打开以前的演练记录。
review-open-journal = 打开演练记录 …
review-day-words = 当前的报告：人员按角色列出，仅在本人同意时列出姓名；预测揭晓后才显示。
review-day-none-title = 没有打开演练日
review-day-none = 在议程中打开演练日，之后报告显示在这里。

replay-word = 回放
replay-then = 当时：{ $sentence }
replay-stands = 已暂停
replay-plays = { $speed } 播放中
replay-play = 播放
replay-pause = 暂停
replay-speed = 速度 { $speed }
replay-of = { $at } / { $end }
replay-moment = 回放的时刻
replay-unmark = 删除此书签
replay-keep = 保留
replay-field = 书签的文字
replay-field-hint = 这里可以看到什么
replay-bookmark = 书签
replay-own = 你的书签：转到该处即可删除
replay-reading-title = 正在读取演练记录 …
replay-reading = 演练记录读取并重放一次，之后每个时刻都可立即显示。
replay-failed-title = 此演练无法回放
replay-back = 返回结论
mark-start = 故障开始
mark-out = 首次越界
mark-stop = 停止
mark-reverted = 已撤回
mark-verdict = 结论
lever-then = 当时的强度

compare-one-title = 只有一次结束的演练
compare-one = 对比需要两次演练。另一次演练结束或打开其演练记录后，显示在这里。
compare-nothing-title = 没有共同之处
compare-nothing = 这两次演练没有名称和单位相同的指标；可以对比的内容在表中。
compare-with = 对比
compare-choose = 与 { $drill } 对比
compare-first = 第一次
compare-second = 第二次
compare-change = 变化
compare-line = { $which }：{ $drill }
compare-others = 第二次按其他线判断：{ $lines }
compare-title = 差异
compare-row = { $of }，{ $measure }：第一次 { $first }，第二次 { $second } { $change }
compare-alone-first = { $name }：仅在第一次演练中
compare-alone-second = { $name }：仅在第二次演练中
compare-plot = { $name } 在两次演练中的图
compare-values = 第一次 { $first }  · 第二次 { $second }
compare-beyond = 未开始或已结束
compare-zero = 首个故障

## The window's own question, and the desktop's dialogs

close-words = 关闭窗口后，这些更改将丢失。
close-stay = 继续编辑
close-anyway = 不保存并关闭
dialog-open-plan = 打开方案
dialog-save-plan = 保存方案
dialog-plans = 方案
dialog-open-journal = 打开演练记录
dialog-journals = 演练记录
dialog-report-folder = 报告写入何处
dialog-open-gameday = 打开演练日：含 gameday.toml 的文件夹

## Review: the verdict

no-reason = 未给出理由。
numbers-title = 故障之前、期间与之后
times-title = 用时
never-broke = 从未不成立
not-reached = 未达到
time-to-break = 故障至不成立
time-to-stop = 坏样本至撤回
time-to-recover = 撤回至稳定
bad-samples = 坏样本
journal-sealed = 演练记录已封存，链完整
show-journal = 显示演练记录
span-before = 之前
span-during = 期间
span-after = 之后
median = 中位数
maximum = 最大
samples-of = { $name }：之前 { $before } 个样本，期间 { $during } 个，之后 { $after } 个
no-stop = 未停止
journal-broken = 演练记录：{ $why }

## 模板库

command-library = 模板库
    .tip = 可以由此开始的方案
command-use-template = 使用此模板
    .tip = 在“设计”中打开按此填写的方案；它还没有文件
command-try-template = 在演示系统上试运行
    .tip = 在本机启动订单系统并运行所选实验；注入第一个故障前会先询问你
why-only-library = 仅在“模板库”中可用
why-mend-answers = 请先改正错误
library-start = 从模板库开始
library-no-mistakes = 没有错误
library-your-system = 你的系统
library-as-it-ships = 恢复为原始值
library-needs = 所需条件
library-tries = 尝试内容
library-on-demo = 在演示系统上（{ $build } 版本）
library-without = 不含 { $what }：{ $why }
library-short = 那里的时间较短：一次演练约需半分钟
library-not-on-demo = 演示系统上不可用：{ $why }
library-counts = { $experiments } 个实验 · { $questions } 个问题

## 设计：护栏、目标、指标的过去

rails-title = 护栏
rails-when-good = 方案没有错误后即检查。
rails-passes = { $rule } 通过
rails-refuses = { $rule } 拒绝
rails-later = { $rule } 稍后询问
rails-to-pass = 要通过：{ $remedy }
rails-shared = 开始前会询问这些主机上是否有他人的演练
rails-alerts = 开始前会查询未关闭的告警
rails-budget = 开始前会读取先前演练的消耗
rails-approval = 开始前需第二人批准
target-by-lot = { $names } 中的 { $hit } 个，开始时抽签
target-ready = 就绪
target-not-in-fleet = 未询问：请先保存方案
target-not-asked = 尚未询问
target-says-nothing = 它尚未说明能做什么
target-no-answer = 没有应答
target-latched = 已锁定：那里不会启动任何故障
target-unknown-fault = 不认识 { $fault }
target-cannot = 无法执行
target-no-route = 没有路由 { $route }
past-hour = 过去一小时，数据源的 { $values } 个值
past-drill = 此数据源没有历史：上次演练的 { $samples } 个样本
past-again = 再次询问
past-ask = 显示过去一小时
past-none = 没有历史：{ $why }
past-asking = 正在向数据源询问过去一小时
past-not-asked = 尚未询问过去一小时
past-nothing = 此数据源没有历史，也没有演练采过样
past-drag = 拖动线条，或在下方输入
past-line-stop = 停止
past-line-tolerated = 容忍
past-line-steady = 稳态

## 旁观者

role-observer = 观察员
role-observer-words = 看到一切；可写备注和预测
role-approver = 批准人
role-approver-words = 看到一切；作为第二人批准启动
role-responder = 响应者
role-responder-words = 只看到症状，看不出注入了什么
role-stakeholder = 干系人
role-stakeholder-words = 看到大屏
role-abort-only = 仅 ABORT
role-abort-only-words = 看到是否有故障生效，以及 ABORT 及其各阶段
share-title = 旁观者
share-off-words = 尚未共享。持有链接的人能看到其角色可见的内容，并可按下 ABORT；任何人都不能借此启动或加强故障。
share-this-computer = 仅本机
share-this-computer-words = 本机上的程序可凭链接通过 TLS 连接。其他计算机不能。
share-everywhere = 本机所有地址
share-everywhere-words = 其他计算机可尝试通过 TLS 连接；没有链接无法进入。
share-port = 端口
share-port-wrong = 端口是不超过 65535 的数字
share-start = 开始共享
share-stop = 停止共享
share-try = 重试
share-listens = 正在监听 { $address }。链接等同于钥匙：只交给对应的人。
share-copy = 复制链接
share-revoke = 撤销
share-revoked = 已撤销
share-renew = 新链接
share-follow = { $count ->
    [0] 无人旁观
   *[other] { $count } 人旁观
}
share-nobody = 还没有人旁观。
share-watcher = { $name } · { $role } · 来自 { $from }，自 { $since }
share-turned-away = 已拒绝 { $count } 个连接：同时太多
reach-trying = 正在测试……
reach-fails = 连本机也得不到应答：{ $why }
reach-loopback = 有应答。其他计算机无法连接到这里。
reach-private = 从本机自身呼叫时有应答。从本网络的其他计算机：未测试，中间可能有防火墙。从互联网：未测试。
reach-public = 从本机自身呼叫时有应答。从互联网：未测试，中间可能有防火墙。
reach-reached = { $time } 已有来自 { $from } 的连接：其他计算机可以连接。
watch-connecting = 正在连接
watch-on = 已连接
watch-lost = 连接中断
watch-ended = 已结束
watch-host = { $host }
watch-waiting = { $count } 个请求等待主机确认
watch-lost-words = 连接于 { $time } 中断：{ $why }。所见为当时的情况。正在重试，不会因此丢失任何内容。
watch-ended-words = 不会再恢复：{ $why }。
watch-abort-sent = ABORT 正在发往主机……
watch-abort-undelivered = ABORT 尚未送达：与主机没有连接。一旦连上立即发送。在此期间：在主机上运行 “firedrill abort”，在每个目标上运行 “firedrill-agent abort”；无人续约的租约会自行结束。
watch-abort-refused = 主机未接受 ABORT：{ $why }
watch-approval = 等待您的批准：{ $title }
watch-approve = 批准启动
watch-refuse = 不批准
watch-refuse-why = 原因
watch-predict = 您对 { $drill } 有何预期？
watch-predict-send = 封存并发送
watch-nothing-yet = 一有内容，这里就会显示系统用户的感受。
watch-no-drill = 主机一开始演练，这里就会显示。
